#include "nexcage/vm/host/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>

namespace nexcage::vm::host {

Result<Terminal> open_terminal(sys::WindowSize size) {
  Terminal out;
  out.master.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!out.master || ::grantpt(out.master.get()) != 0 || ::unlockpt(out.master.get()) != 0)
    return fail_errno("open a pseudo terminal");
  out.slave.reset(::ioctl(out.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!out.slave) return fail_errno("open a pseudo terminal's slave");
  termios state{};
  if (::tcgetattr(out.slave.get(), &state) != 0) return fail_errno("look at a terminal");
  ::cfmakeraw(&state);
  if (::tcsetattr(out.slave.get(), TCSANOW, &state) != 0) return fail_errno("set up a terminal");
  if (size.rows != 0 || size.columns != 0) NX_CHECK(sys::set_window_size(out.master.get(), size));
  return out;
}

Result<> control_terminal(int slave) {
  if (::setsid() < 0 && ::getsid(0) != ::getpid()) return fail_errno("begin a session");
  if (::ioctl(slave, TIOCSCTTY, 0) != 0) return fail_errno("take a controlling terminal");
  return {};
}

}  // namespace nexcage::vm::host
