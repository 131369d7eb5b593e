// Terminals.
#include "nexcage/sys/pty.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace nexcage::sys {
namespace {

Result<termios> get_termios(int tty) {
  termios state{};
  if (::tcgetattr(tty, &state) != 0) return fail_errno("read the settings of a terminal");
  return state;
}

/// tcsetattr without being stopped when we are in the background of that terminal (SIGTTOU).
Result<> set_termios(int tty, const termios& state) {
  sigset_t stop, before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTTOU);
  ::pthread_sigmask(SIG_BLOCK, &stop, &before);
  int failed = 0;
  do failed = ::tcsetattr(tty, TCSANOW, &state);
  while (failed != 0 && errno == EINTR);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (failed != 0) return fail_errno(error, "change the settings of a terminal");
  return {};
}

}  // namespace

Result<> set_window_size(int tty, WindowSize size) {
  const winsize wanted{size.rows, size.columns, 0, 0};
  if (::ioctl(tty, TIOCSWINSZ, &wanted) != 0) return fail_errno("set the size of a terminal");
  return {};
}

Result<WindowSize> window_size(int tty) {
  winsize size{};
  if (::ioctl(tty, TIOCGWINSZ, &size) != 0) return fail_errno("read the size of a terminal");
  return WindowSize{size.ws_row, size.ws_col};
}

Result<> disable_onlcr(int tty) {
  NX_TRY(termios state, get_termios(tty));
  state.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
  return set_termios(tty, state);
}

Result<RawTerminal> RawTerminal::enter(int tty) {
  NX_TRY(const termios saved, get_termios(tty));
  termios raw = saved;
  ::cfmakeraw(&raw);
  // The container's terminal does not turn newlines into CR LF (disable_onlcr), so this one must.
  raw.c_oflag |= saved.c_oflag & static_cast<tcflag_t>(OPOST);
  NX_CHECK(set_termios(tty, raw));
  return RawTerminal(tty, saved);
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept
    : tty_(std::exchange(other.tty_, -1)), saved_(other.saved_) {}

RawTerminal& RawTerminal::operator=(RawTerminal&& other) noexcept {
  if (this == &other) return *this;
  if (tty_ >= 0) (void)set_termios(tty_, saved_);
  tty_ = std::exchange(other.tty_, -1);
  saved_ = other.saved_;
  return *this;
}

RawTerminal::~RawTerminal() {
  if (tty_ >= 0) (void)set_termios(tty_, saved_);
}

}  // namespace nexcage::sys
