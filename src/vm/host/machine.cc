#include "nexcage/vm/host/machine.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/vm/host/shares.h"

namespace nexcage::vm::host {
namespace {

constexpr std::chrono::milliseconds kMonitorTime(5'000);
constexpr std::size_t kLastWords = 4096;
constexpr std::size_t kShownWords = 400;
constexpr std::size_t kMaxKernel = 256u << 20;
/// Descriptors of QEMU are numbered from here.
constexpr int kFirstFd = 10;

struct Pair {
  UniqueFd ours, theirs;
};

Result<Pair> stream_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno("make a pair of sockets");
  return Pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<Pair> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno("make a pipe");
  return Pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// A file that everybody may read, or a copy of it: QEMU opens it again by its number, as nobody.
Result<UniqueFd> open_kernel(const std::string& path) {
  NX_TRY(UniqueFd file, sys::open_at(AT_FDCWD, path, O_RDONLY), "kernel of the machine");
  NX_TRY(const struct stat info, sys::stat_fd(file.get()), path);
  if ((info.st_mode & S_IROTH) != 0) return file;
  NX_TRY(const std::string bytes, sys::read_all(file.get(), kMaxKernel), path);
  return sys::sealed_data(bytes, "vm-kernel");
}

/// A user that no other process has: 2^31 - 2^28 and our pid, beyond what distributions give away
/// (systemd's UIDS-GIDS.md). Root, though without capabilities, where this process's user
/// namespace does not have it, or where nobody but root may open /dev/kvm.
sys::Unprivileged identity_of(const Launch& launch) {
  constexpr uid_t kFirst = 0x70000000;
  const auto map = sys::read_file(AT_FDCWD, "/proc/self/uid_map", 256);
  std::vector<std::string> words = map ? split(trim(*map), ' ') : std::vector<std::string>();
  std::erase(words, "");
  const std::vector<std::string> everybody = {"0", "0", "4294967295"};
  if (words != everybody) return {};
  const uid_t own = kFirst + static_cast<uid_t>(::getpid());
  sys::Unprivileged out{.user = own, .group = own};
  if (launch.machine.accelerator != qemu::Accelerator::kvm) return out;
  struct stat device{};
  constexpr mode_t kOfGroup = S_IRGRP | S_IWGRP, kOfAll = S_IROTH | S_IWOTH;
  if (::stat("/dev/kvm", &device) != 0 || (device.st_mode & kOfAll) == kOfAll) return out;
  if ((device.st_mode & kOfGroup) != kOfGroup) return {};
  out.groups.push_back(device.st_gid);
  return out;
}

}  // namespace

Result<Machine> Machine::start(const Launch& launch) {
  NX_TRY(Pair agent, stream_pair());
  NX_TRY(Pair monitor, stream_pair());
  NX_TRY(Pair output, make_pipe());
  NX_TRY(UniqueFd null, sys::open_at(AT_FDCWD, "/dev/null", O_RDONLY));
  // QEMU's own writes may wait: a full pipe must not end its console.
  if (::fcntl(output.theirs.get(), F_SETFL, O_WRONLY) != 0) return fail_errno("set up a pipe");
  NX_TRY(std::vector<ServedShare> shares, serve_shares(launch));

  qemu::Machine machine = launch.machine;
  sys::Command command;
  int next = kFirstFd;
  const auto pass = [&](int fd) {
    command.fds.emplace_back(fd, next);
    return next++;
  };
  machine.agent = pass(agent.theirs.get());
  machine.monitor = pass(monitor.theirs.get());
  NX_TRY(const UniqueFd kernel, open_kernel(machine.kernel));
  machine.kernel = sys::fd_path(pass(kernel.get()));
  if (machine.initrd >= 0) machine.initrd = pass(machine.initrd);
  for (qemu::Disk& disk : machine.disks) disk.fd = pass(disk.fd);
  for (qemu::Nic& nic : machine.nics)
    if (nic.tap >= 0) nic.tap = pass(nic.tap);
  for (const ServedShare& share : shares)
    machine.shares.push_back({.fd = pass(share.connection.get()), .tag = share.tag});
  command.fds.emplace_back(null.get(), STDIN_FILENO);
  command.fds.emplace_back(output.theirs.get(), STDOUT_FILENO);
  command.fds.emplace_back(output.theirs.get(), STDERR_FILENO);
  command.program = launch.qemu;
  command.argv = qemu::plan_argv(launch.qemu, machine);
  command.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  command.cwd = "/";
  command.unprivileged = identity_of(launch);
  command.new_session = true;  // a signal from the terminal is the guest's affair
  command.die_with_parent = true;
  NX_TRY(sys::Child qemu, sys::Child::spawn(command), "start " + launch.qemu);
  Machine out(std::move(qemu), std::move(agent.ours), std::move(monitor.ours),
              std::move(output.ours));
  for (ServedShare& share : shares)
    out.daemons_.push_back({.source = share.source, .process = std::move(share.daemon)});
  return out;
}

void Machine::read_output() {
  std::array<char, 4096> part;
  const ssize_t n = ::read(output_.get(), part.data(), part.size());
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) output_.reset();
  if (n <= 0) return;
  words_.append(part.data(), static_cast<std::size_t>(n));
  if (words_.size() > kLastWords) words_.erase(0, words_.size() - kLastWords);
}

std::string Machine::last_words() const {
  std::string out;
  for (const char c : words_) {
    const bool printable = c >= ' ' && c <= '~';
    if (printable)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  if (out.size() > kShownWords) out.erase(0, out.size() - kShownWords);
  return std::string(trim(out));
}

Result<qemu::Qmp*> Machine::monitor() {
  if (!monitor_) {
    NX_TRY(qemu::Qmp opened,
           qemu::Qmp::open(std::move(monitor_socket_), kMonitorTime, meanwhile()));
    monitor_.emplace(std::move(opened));
  }
  return &*monitor_;
}

qemu::Meanwhile Machine::meanwhile() {
  return {.fd = output_.get(), .read = [this] {
            read_output();
            return static_cast<bool>(output_);
          }};
}

Result<> Machine::pause() {
  NX_TRY(qemu::Qmp * session, monitor());
  NX_CHECK(session->execute("stop", kMonitorTime, meanwhile()));
  return {};
}

Result<> Machine::resume() {
  NX_TRY(qemu::Qmp * session, monitor());
  NX_CHECK(session->execute("cont", kMonitorTime, meanwhile()));
  return {};
}

void Machine::end(bool politely) {
  if (politely) {
    if (const auto session = monitor();
        session && (*session)->execute("quit", kMonitorTime, meanwhile()))
      if (const auto status = qemu_.wait_for(kMonitorTime); status && *status) return;
  }
  qemu_.kill_and_wait();
}

Result<std::string> Machine::how_it_ended() {
  NX_TRY(const int status, qemu_.wait());
  std::string out = WIFSIGNALED(status)
                        ? "QEMU was ended by " + sys::signal_name(WTERMSIG(status))
                        : "QEMU ended with status " + std::to_string(WEXITSTATUS(status));
  if (const std::string words = last_words(); !words.empty()) out += ": " + words;
  return out;
}

}  // namespace nexcage::vm::host
