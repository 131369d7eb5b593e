// A virtual machine with the agent in it, and the host's end of the conversation: boots QEMU with
// the kernel that `nexcage vm setup` prepares, a disk with busybox as the container's root.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "loop_fs.h"
#include "machine_kernel.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/plan.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/boot/kernel.h"
#include "nexcage/vm/protocol/mux.h"
#include "result_matchers.h"

namespace nexcage::testing {

namespace protocol = vm::protocol;

/// What a session did until now, as the host saw it.
struct Seen {
  std::string out, err;
  bool prepared = false, started = false;
  std::optional<protocol::Exit> exit;
  std::optional<sys::plan::Failure> failure;
  bool over() const { return exit.has_value() || failure.has_value(); }
};

inline sys::plan::MountFilesystem file_system(const std::string& type, const std::string& target) {
  sys::plan::MountFilesystem mount;
  mount.fstype = mount.source = type;
  mount.target = target;
  return mount;
}

/// A plan that runs a shell script in the root that is source 0.
inline sys::plan::Plan container_plan(const std::string& script, bool terminal = false) {
  using namespace sys::plan;
  Plan plan;
  plan.operations = {EnterRootfs{.fd = 0, .path = "/root"}, file_system("proc", "/proc"),
                     file_system("tmpfs", "/dev"), file_system("sysfs", "/sys")};
  MountFilesystem pts = file_system("devpts", "/dev/pts");
  pts.options = {"newinstance", "ptmxmode=0666"};
  plan.operations.emplace_back(pts);
  plan.operations.emplace_back(
      MakeDevice{.target = "/dev/null", .mode = S_IFCHR | 0666, .major = 1, .minor = 3});
  plan.operations.emplace_back(
      MakeDevice{.target = "/dev/zero", .mode = S_IFCHR | 0666, .major = 1, .minor = 5});
  if (terminal)
    plan.operations.emplace_back(OpenTerminal{.bind_console = true, .rows = 33, .columns = 99});
  plan.operations.emplace_back(Pivot{});
  plan.operations.emplace_back(SetHostname{.name = "guest"});
  plan.operations.emplace_back(CheckProgram{});
  plan.operations.emplace_back(WaitForStart{});
  plan.process.args = {"/bin/busybox", "sh", "-c", script};
  plan.process.env = {"PATH=/bin"};
  plan.process.cwd = "/";
  plan.process.set_capabilities = false;
  plan.process.terminal = terminal;
  return plan;
}

inline sys::plan::Plan exec_plan(const std::string& script, bool terminal = false) {
  using namespace sys::plan;
  Plan plan = container_plan(script, terminal);
  plan.operations = {
      JoinNamespaces{.fd = 0, .root_fd = 1, .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP}};
  if (terminal) plan.operations.emplace_back(OpenTerminal{.rows = 33, .columns = 99});
  plan.operations.emplace_back(CheckProgram{});
  return plan;
}

/// The files of a container that has busybox and nothing else.
inline void make_busybox_tree(const std::filesystem::path& tree) {
  namespace fs = std::filesystem;
  for (const char* dir : {"bin", "dev", "proc", "sys", "etc", "tmp"})
    fs::create_directories(tree / dir);
  fs::copy_file("/bin/busybox", tree / "bin/busybox");
  std::ofstream(tree / "etc/passwd") << "root:x:0:0::/:/bin/sh\n";
}

/// What the program printed; RuntimeError with its words when it has no success.
inline Result<std::string> run_tool(const std::vector<std::string>& argv) {
  sys::Command command;
  NX_TRY(command.program, sys::find_system_program(argv.front()));
  command.argv = argv;
  command.inherit_env = true;
  NX_TRY(sys::Output output, sys::run(command, "", std::chrono::seconds(60)));
  if (output.status != 0) return fail(Errc::RuntimeError, output.err);
  return std::move(output.out);
}

class AgentMachine {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kPatience{300};

  /// Boots; the disk has the serial number "root" and is ext4.
  Result<> boot(const std::string& extra_disk = {}) {
    NX_TRY(const vm::boot::Kernel kernel, kernel_for_tests());
    NX_TRY(initrd_, vm::boot::assemble_initrd(kernel.initrd, NEXCAGE_TEST_LIBEXEC "/init"));
    NX_CHECK(make_disk());
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return fail_errno("pair");
    port_.reset(ends[0]);
    const UniqueFd theirs(ends[1]);
    (void)::fcntl(port_.get(), F_SETFL, O_NONBLOCK);
    sys::Command command;
    NX_TRY(command.program, sys::find_program("qemu-system-x86_64"));
    command.argv = arguments(kernel, extra_disk);
    command.inherit_env = true;
    command.fds = {{theirs.get(), 3}, {initrd_.get(), 4}};
    started_ = Clock::now();
    NX_TRY(auto child, sys::Child::spawn(command));
    qemu_.emplace(std::move(child));
    return {};
  }

  /// Sends the container's description: the disk under a tmpfs.
  void prepare(const sys::plan::Plan& plan, std::vector<protocol::Source> more = {}) {
    protocol::Root root;
    protocol::Volume disk;
    disk.fstype = "ext4";
    disk.source = "root";
    disk.attributes = MOUNT_ATTR_RDONLY;
    disk.options = {"ro"};
    root.lowers = {disk};
    protocol::Volume upper;
    upper.fstype = "tmpfs";
    root.upper = {upper};
    protocol::Prepare wanted;
    wanted.sources = {root};
    for (auto& source : more) wanted.sources.push_back(std::move(source));
    wanted.plan = sys::plan::encode(plan);
    mux.send(protocol::Type::hello, 0, encode(protocol::Hello{}));
    mux.send(protocol::Type::prepare, 0, encode(wanted));
  }
  void exec(std::uint32_t session, const sys::plan::Plan& plan) {
    mux.send(protocol::Type::exec, session,
             encode(protocol::Exec{.plan = sys::plan::encode(plan)}));
  }

  /// Serves the conversation until the condition holds; false after the time, or when the
  /// conversation is at its end (`trouble` says why).
  bool until(const std::function<bool()>& done, std::chrono::seconds patience = kPatience) {
    const auto deadline = Clock::now() + patience;
    while (!done()) {
      if (!trouble.empty() || Clock::now() > deadline) return false;
      serve_once();
    }
    return true;
  }

  /// Asks for the end; true when QEMU has ended by itself in time.
  bool shut_down() {
    mux.send(protocol::Type::shutdown, 0);
    (void)until([] { return false; }, std::chrono::seconds(20));
    auto status = qemu_->wait_for(std::chrono::seconds(20));
    return status && status->has_value();
  }

  std::string console() const {
    std::ifstream file(scratch_ / "console");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - started_).count(); }

  protocol::Mux mux{protocol::Role::host};
  std::map<std::uint32_t, Seen> seen;
  std::string trouble;
  bool read_slowly = false;  // output is taken, but no credit given

 private:
  Result<> make_disk() {
    const std::string tree = scratch_ / "tree";
    make_busybox_tree(tree);
    NX_CHECK(run_tool({"mke2fs", "-q", "-t", "ext4", "-d", tree, scratch_ / "disk", "16M"}));
    return {};
  }

  std::vector<std::string> arguments(const vm::boot::Kernel& kernel,
                                     const std::string& extra_disk) const {
    std::vector<std::string> argv = {
        "qemu-system-x86_64",
        "-M",
        "microvm,pit=on,pic=on,rtc=on",
        "-accel",
        "tcg",
        "-cpu",
        "max,-erms,-fsrm",
        "-m",
        "256",
        "-global",
        "virtio-mmio.force-legacy=false",
        "-nodefaults",
        "-no-user-config",
        "-nographic",
        "-no-reboot",
        "-monitor",
        "none",
        "-serial",
        "file:" + (scratch_ / "console"),
        "-kernel",
        kernel.kernel,
        "-initrd",
        "/proc/self/fd/4",
        "-append",
        ("console=ttyS0 quiet panic=-1 cryptomgr.notests no_timer_check tsc_early_khz=2600000 "
         "lpj=5200000"),
        "-chardev",
        "socket,id=port,fd=3",
        "-device",
        "virtio-serial-device",
        "-device",
        "virtserialport,chardev=port,name=nexcage.0",
        "-drive",
        "if=none,id=root,format=raw,readonly=on,file=" + (scratch_ / "disk"),
        "-device",
        "virtio-blk-device,drive=root,serial=root"};
    if (!extra_disk.empty())
      for (const std::string& word :
           {std::string("-drive"), "if=none,id=extra,format=raw,file=" + extra_disk,
            std::string("-device"), std::string("virtio-blk-device,drive=extra,serial=extra")})
        argv.push_back(word);
    return argv;
  }

  void serve_once() {
    const short wanted = static_cast<short>(POLLIN | (mux.pending().empty() ? 0 : POLLOUT));
    pollfd fd{.fd = port_.get(), .events = wanted, .revents = 0};
    (void)::poll(&fd, 1, 200);
    if ((fd.revents & POLLOUT) != 0) {
      const auto pending = mux.pending();
      const ssize_t n = ::write(port_.get(), pending.data(), pending.size());
      if (n > 0) mux.sent(static_cast<std::size_t>(n));
    }
    if ((fd.revents & (POLLIN | POLLHUP)) == 0) return;
    std::vector<char> buffer(1u << 16);
    const ssize_t n = ::read(port_.get(), buffer.data(), buffer.size());
    if (n <= 0) {
      trouble = "the connection has ended";
      return;
    }
    mux.receive(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    for (;;) {
      auto frame = mux.next();
      if (!frame) trouble = frame.error().message();
      if (!frame || !*frame) return;
      take(**frame);
    }
  }

  void take(const protocol::Frame& frame) {
    Seen& session = seen[frame.session];
    switch (frame.type) {
      case protocol::Type::prepared:
        session.prepared = true;
        return;
      case protocol::Type::started:
        session.started = true;
        return;
      case protocol::Type::data: {
        const protocol::Data data = protocol::data_of(frame);
        (data.stream == protocol::Stream::out ? session.out : session.err) += data.bytes;
        if (!read_slowly) mux.consumed(frame.session, data.stream, data.bytes.size());
        return;
      }
      case protocol::Type::exit:
        session.exit = protocol::decode<protocol::Exit>(frame.payload).value();
        return;
      case protocol::Type::error:
        session.failure = sys::plan::decode_failure(frame.payload).value();
        return;
      default:
        return;
    }
  }

  ScratchDir scratch_;
  UniqueFd initrd_, port_;
  std::optional<sys::Child> qemu_;
  Clock::time_point started_;
};

}  // namespace nexcage::testing
