#include "nexcage/vm/host/machine.h"

#include <fcntl.h>
#include <sys/socket.h>
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
  command.new_session = true;  // a signal from the terminal is the guest's affair
  command.die_with_parent = true;
  NX_TRY(sys::Child qemu, sys::Child::spawn(command), "start " + launch.qemu);
  Machine out(std::move(qemu), std::move(agent.ours), std::move(monitor.ours),
              std::move(output.ours));
  for (ServedShare& share : shares) out.daemons_.push_back(std::move(share.daemon));
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
    NX_TRY(qemu::Qmp opened, qemu::Qmp::open(std::move(monitor_socket_), kMonitorTime));
    monitor_.emplace(std::move(opened));
  }
  return &*monitor_;
}

Result<> Machine::pause() {
  NX_TRY(qemu::Qmp * session, monitor());
  NX_CHECK(session->execute("stop", kMonitorTime));
  return {};
}

Result<> Machine::resume() {
  NX_TRY(qemu::Qmp * session, monitor());
  NX_CHECK(session->execute("cont", kMonitorTime));
  return {};
}

void Machine::end(bool politely) {
  if (politely) {
    if (const auto session = monitor(); session && (*session)->execute("quit", kMonitorTime))
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
