// Reading what is not to be seen on the screen, as readpassphrase(3) of the BSDs does it.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/pty.h"

namespace nexcage::sys {
namespace {

constexpr std::array kSignals = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
constexpr std::size_t kMaxLine = 4096;

volatile std::sig_atomic_t arrived = 0;
void remember(int signal) { arrived = signal; }

/// Signals that would end us interrupt the waiting instead, and are raised again afterwards.
class HeldSignals {
 public:
  HeldSignals() {
    arrived = 0;
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : kSignals) sigaddset(&held, signal);
    ::pthread_sigmask(SIG_BLOCK, &held, &mask_);
    struct sigaction action{};
    action.sa_handler = remember;
    for (std::size_t i = 0; i < kSignals.size(); ++i)
      ::sigaction(kSignals[i], &action, &before_[i]);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  ~HeldSignals() {
    for (std::size_t i = 0; i < kSignals.size(); ++i)
      ::sigaction(kSignals[i], &before_[i], nullptr);
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    if (arrived != 0) (void)::raise(arrived);
  }
  /// Until there is something to read. EINTR when a held signal came; only here one can.
  Result<> wait_readable(int fd) const {
    pollfd wanted{fd, POLLIN, 0};
    while (::ppoll(&wanted, 1, nullptr, &mask_) < 0)
      if (errno != EINTR || arrived != 0) return fail_errno("read from the terminal");
    return {};
  }

 private:
  sigset_t mask_{};
  std::array<struct sigaction, kSignals.size()> before_{};
};

/// No echo for as long as this lives, but for the newline that ends the line.
class NoEcho {
 public:
  explicit NoEcho(int tty) : tty_(tty) {
    termios now{};
    if (::tcgetattr(tty, &now) != 0) return;
    saved_ = now;
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    now.c_lflag |= static_cast<tcflag_t>(ECHONL);
    if (::tcsetattr(tty, TCSAFLUSH, &now) != 0) saved_.reset();
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;
  ~NoEcho() {
    if (saved_) (void)::tcsetattr(tty_, TCSAFLUSH, &*saved_);
  }
  bool good() const { return saved_.has_value(); }

 private:
  int tty_;
  std::optional<termios> saved_;
};

}  // namespace

Result<std::string> read_hidden_line(int tty, int out, std::string_view question) {
  const HeldSignals held;
  const NoEcho hidden(tty);
  if (!hidden.good()) return fail_errno("turn off the echo of the terminal");
  NX_CHECK(write_all(out, question));
  std::string line;
  while (line.size() < kMaxLine) {
    NX_CHECK(held.wait_readable(tty));
    char c = 0;
    const ssize_t n = ::read(tty, &c, 1);
    if (n < 0) return fail_errno("read from the terminal");
    if (n == 0 && line.empty()) return fail_errno(ENODATA, "read from the terminal");
    if (n == 0 || c == '\n') return line;
    line += c;
  }
  return fail_errno(EOVERFLOW, "read from the terminal");
}

}  // namespace nexcage::sys
