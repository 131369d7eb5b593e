// A virtual machine that stands alone, as Proxmox VE runs one: the small board with its BIOS, a
// boot disk, a disk with busybox as the container's root, a serial console and the port of the QEMU
// guest agent, both sockets that clients come to and leave.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent_fixture.h"
#include "nexcage/base/base64.h"
#include "nexcage/json/value.h"
#include "nexcage/vm/boot/boot_disk.h"
#include "nexcage/vm/protocol/standalone.h"

namespace nexcage::testing {

/// A client of one of QEMU's sockets.
class SocketClient {
 public:
  explicit SocketClient(const std::string& path) {
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
      fd_.reset();
  }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  void send(std::string_view bytes) { (void)sys::write_all(fd_.get(), bytes); }
  /// Reads until `done(all that came)`; false after the time, or at the end.
  template <class Done>
  bool until(Done done, std::chrono::seconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    std::vector<char> buffer(1u << 16);
    while (!done(came)) {
      pollfd entry{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      if (std::chrono::steady_clock::now() > deadline) return false;
      if (::poll(&entry, 1, 100) <= 0) continue;
      const ssize_t n = ::read(fd_.get(), buffer.data(), buffer.size());
      if (n <= 0) return false;
      came.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return true;
  }
  std::string came;

 private:
  UniqueFd fd_;
};

class StandaloneMachine {
 public:
  static constexpr std::chrono::seconds kPatience{300};
  static constexpr std::chrono::seconds kAnswerTime{60};

  vm::protocol::Standalone record;
  bool with_agent_port = true;
  std::string root_size;  // of the disk, once the file system of 16 MiB is made; empty: as it is

  /// The record runs this script as the container.
  explicit StandaloneMachine(const std::string& script, bool terminal = false) {
    protocol::Volume root;
    root.fstype = "ext4";
    root.source = "nexcage-root";
    root.grow = true;
    record.prepare.sources = {protocol::Root{.lowers = {}, .upper = {root}}};
    record.prepare.plan = sys::plan::encode(container_plan(script, terminal));
    record.exec.plan = sys::plan::encode(exec_plan(""));
  }

  Result<> boot() {
    NX_CHECK(make_root());
    NX_TRY(const vm::boot::Kernel kernel, kernel_for_tests());
    NX_CHECK(vm::boot::make_boot_disk({.kernel = kernel,
                                       .init = NEXCAGE_TEST_LIBEXEC "/init",
                                       .record = encode(record),
                                       // The clock of an emulated machine on a busy host.
                                       .parameters = {"no_timer_check"}},
                                      path("boot.raw")));
    sys::Command command;
    NX_TRY(command.program, sys::find_program("qemu-system-x86_64"));
    command.argv = arguments();
    command.inherit_env = true;
    command.die_with_parent = true;
    NX_TRY(auto child, sys::Child::spawn(command));
    qemu_.emplace(std::move(child));
    return {};
  }

  /// What was on the console until now, with the ends of lines as programs write them.
  std::string console() const {
    std::ifstream file(path("console"));
    std::string text{std::istreambuf_iterator<char>(file), {}};
    std::erase(text, '\r');
    return text;
  }
  bool console_says(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!console().contains(text)) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      const auto status = qemu_->wait_for(std::chrono::milliseconds(100));
      if (status && *status) return console().contains(text);
    }
    return true;
  }
  /// It has turned itself off.
  bool off() {
    const auto status = qemu_->wait_for(kPatience);
    return status && *status && **status == 0;
  }

  SocketClient console_client() const { return SocketClient(path("serial.sock")); }
  SocketClient agent_client() const { return SocketClient(path("qga.sock")); }
  std::string path(const std::string& name) const { return scratch_ / name; }

  /// Connects, and asks as Proxmox VE does (qemu-server, PVE/QMPClient.pm): a delimited sync and
  /// the command in one go; the answer is the second line behind the delimiter. Null: there was
  /// none.
  json::Value ask(const std::string& name, const std::string& arguments = "{}",
                  std::string_view before = {}, std::chrono::seconds patience = kAnswerTime) const {
    SocketClient client = agent_client();
    if (!client) return {};
    client.send(before);
    client.send(R"({"execute":"guest-sync-delimited","arguments":{"id":101}})"
                "\n"
                R"({"execute":")" +
                name + R"(","arguments":)" + arguments + "}\n");
    std::size_t first = 0;
    const bool answered = client.until(
        [&](const std::string& came) {
          if (!came.ends_with('\n')) return false;
          const std::size_t mark = came.rfind("\xff{\"return\":101}\n");
          if (mark == std::string::npos) return false;
          first = came.find('\n', mark) + 1;
          return came.find('\n', first) != std::string::npos;
        },
        patience);
    if (!answered) return {};
    const auto value = json::parse(client.came.substr(first), {.max_bytes = 64u << 20});
    return value ? *value : json::Value();
  }

  /// Runs a process by guest-exec and waits for its end: the answer of guest-exec-status.
  json::Value run(const std::string& arguments) const {
    const json::Value answer = ask("guest-exec", arguments);
    const json::Value* result = answer.find("return");
    if (result == nullptr) return answer;
    const std::string pid = json::dump(*result->find("pid"));
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      const json::Value status = ask("guest-exec-status", "{\"pid\":" + pid + "}");
      const json::Value* known = status.find("return");
      if (known == nullptr) return status;
      if (*known->find("exited")->if_bool()) return *known;
    }
    return {};
  }

 private:
  Result<> make_root() {
    make_busybox_tree(scratch_ / "tree");
    NX_CHECK(
        run_tool({"mke2fs", "-q", "-t", "ext4", "-d", scratch_ / "tree", path("root.raw"), "16M"}));
    if (!root_size.empty()) NX_CHECK(run_tool({"truncate", "-s", root_size, path("root.raw")}));
    return {};
  }

  std::vector<std::string> arguments() const {
    std::vector<std::string> argv = {"qemu-system-x86_64",
                                     "-M",
                                     "pc",
                                     "-accel",
                                     "tcg",
                                     "-cpu",
                                     "max,-erms,-fsrm",
                                     "-m",
                                     "256",
                                     "-nodefaults",
                                     "-no-user-config",
                                     "-display",
                                     "none",
                                     "-no-reboot",
                                     "-monitor",
                                     "none",
                                     "-chardev",
                                     "socket,id=serial0,server=on,wait=off,path=" +
                                         path("serial.sock") + ",logfile=" + path("console"),
                                     "-device",
                                     "isa-serial,chardev=serial0"};
    for (const char* disk : {"boot", "root"}) {
      argv.insert(
          argv.end(),
          {"-drive",
           std::string("if=none,format=raw,id=") + disk +
               ",file=" + path(std::string(disk) + ".raw"),
           "-device", std::string("virtio-blk-pci,drive=") + disk + ",serial=nexcage-" + disk});
    }
    if (with_agent_port)
      argv.insert(argv.end(),
                  {"-device", "virtio-serial", "-chardev",
                   "socket,id=qga0,server=on,wait=off,path=" + path("qga.sock"), "-device",
                   "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"});
    return argv;
  }

  ScratchDir scratch_;
  std::optional<sys::Child> qemu_;
};

}  // namespace nexcage::testing
