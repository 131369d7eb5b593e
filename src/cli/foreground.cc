#include "nexcage/cli/foreground.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "nexcage/cli/output.h"
#include "nexcage/sys/process.h"
#include "nexcage/sys/pty.h"

namespace nexcage::cli {
namespace {

/// Passed on to the container's process. SIGWINCH only without a terminal: with one, the window's
/// new size says it.
constexpr std::array kForwarded = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                                   SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};
/// How long the last output may take to arrive once the process is gone and others hold the
/// terminal open: the kernel moves it between the two sides in a work queue.
constexpr int kDrainMs = 100;
constexpr char kEndOfTransmission = 4;  // VEOF: what a terminal has for "no more input"

sigset_t held_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  for (const int signal : kForwarded) sigaddset(&set, signal);
  return set;
}

/// Reaps every child that has ended; the status of `pid` if it was among them.
Result<std::optional<int>> reap(pid_t pid) {
  std::optional<int> found;
  while (true) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, WNOHANG);
    if (ended < 0 && errno == EINTR) continue;
    if (ended < 0 && errno == ECHILD && !found)
      return fail_errno("wait for process " + std::to_string(pid));
    if (ended <= 0) return found;
    if (ended == pid) found = status;
  }
}

/// The terminal between the user and the container.
class Relay {
 public:
  Relay(int master, Input input) : master_(master), reading_(input == Input::relayed) {}

  static Result<Relay> open(int master, Input input) {
    Relay relay(master, input);
    const int flags = ::fcntl(master, F_GETFL);
    if (flags < 0 || ::fcntl(master, F_SETFL, flags | O_NONBLOCK) < 0)
      return fail_errno("make the terminal non-blocking");
    if (input == Input::relayed && ::isatty(STDIN_FILENO) == 1) {
      NX_TRY(relay.raw_, sys::RawTerminal::enter(STDIN_FILENO), "raw mode");
    }
    return relay;
  }

  pollfd master_poll() const {
    const bool writing = !pending_.empty();
    return {open_ ? master_ : -1, static_cast<short>(POLLIN | (writing ? POLLOUT : 0)), 0};
  }
  /// Input is read only when the last piece has been taken: the container's pace is ours.
  pollfd input_poll() const {
    return {reading_ && pending_.empty() ? STDIN_FILENO : -1, POLLIN, 0};
  }

  void take_input() {
    std::array<char, 4096> buffer{};
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n > 0) {
      pending_.assign(buffer.data(), static_cast<std::size_t>(n));
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      reading_ = false;
      pending_ = kEndOfTransmission;
    }
    give_input();
  }

  void give_input() {
    if (pending_.empty()) return;
    const ssize_t n = ::write(master_, pending_.data(), pending_.size());
    if (n > 0) pending_.erase(0, static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR) pending_.clear();
  }

  /// False when nothing more is there now. EIO: the last holder of the other side has closed it.
  bool take_output() {
    std::array<char, 16384> buffer{};
    const ssize_t n = ::read(master_, buffer.data(), buffer.size());
    if (n > 0) {
      print(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
      return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) open_ = false;
    return false;
  }

  void drain() {
    while (open_) {
      pollfd waiting{master_, POLLIN, 0};
      if (::poll(&waiting, 1, kDrainMs) <= 0) return;
      take_output();
    }
  }

  int master() const { return master_; }

 private:
  int master_;
  bool open_ = true;
  bool reading_;
  std::string pending_;  // input that the container has not taken yet
  std::optional<sys::RawTerminal> raw_;
};

Result<> handle_signals(int fd, const Attended& process, bool& child_ended) {
  signalfd_siginfo info{};
  while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) {
      child_ended = true;
    } else if (signal == SIGWINCH && process.pty_master >= 0) {
      copy_window_size(process.pty_master);
    } else {
      NX_CHECK(sys::send_signal(process.pidfd, signal), "forward " + sys::signal_name(signal));
    }
  }
  return {};
}

/// One turn: waits for something, handles it. The wait status when the process has ended.
Result<std::optional<int>> turn(const SignalGate& gate, const Attended& process,
                                std::optional<Relay>& relay) {
  std::array<pollfd, 3> waiting = {{{gate.fd(), POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}}};
  if (relay) {
    waiting[1] = relay->master_poll();
    waiting[2] = relay->input_poll();
  }
  if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return fail_errno("poll");
  if (relay && waiting[1].revents != 0) {
    if ((waiting[1].revents & POLLOUT) != 0) relay->give_input();
    relay->take_output();
  }
  if (relay && waiting[2].revents != 0) relay->take_input();
  bool child_ended = false;
  if (waiting[0].revents != 0) NX_CHECK(handle_signals(gate.fd(), process, child_ended));
  if (!child_ended) return std::nullopt;
  return reap(process.pid);
}

}  // namespace

Result<SignalGate> SignalGate::close() {
  const sigset_t held = held_signals();
  sigset_t saved;
  if (::sigprocmask(SIG_BLOCK, &held, &saved) != 0) return fail_errno("block signals");
  UniqueFd fd(::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) {
    Error error = Error::from_errno("signalfd");
    ::sigprocmask(SIG_SETMASK, &saved, nullptr);
    return fail(std::move(error));
  }
  return SignalGate(std::move(fd), saved);
}

SignalGate::SignalGate(SignalGate&& other) noexcept
    : fd_(std::move(other.fd_)),
      saved_(other.saved_),
      active_(std::exchange(other.active_, false)) {}

SignalGate::~SignalGate() {
  if (active_) ::sigprocmask(SIG_SETMASK, &saved_, nullptr);
}

void copy_window_size(int pty_master) {
  for (const int ours : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const auto size = sys::window_size(ours);
    if (!size) continue;
    // A terminal that is just closing refuses; the container no longer cares then.
    (void)sys::set_window_size(pty_master, *size);
    return;
  }
}

Result<int> attend(const SignalGate& gate, const Attended& process) {
  std::optional<Relay> relay;
  if (process.pty_master >= 0) {
    NX_TRY(relay, Relay::open(process.pty_master, process.input));
  }
  // It may have ended before the gate was closed: its SIGCHLD is lost then.
  NX_TRY(std::optional<int> status, reap(process.pid));
  while (!status) {
    NX_TRY(status, turn(gate, process, relay));
  }
  if (relay) relay->drain();
  return *status;
}

}  // namespace nexcage::cli
