#include "nexcage/helpers/keeper/console.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

namespace nexcage::keeper {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{2};
constexpr std::chrono::milliseconds kPause{20};

}  // namespace

UniqueFd open_console() {
  UniqueFd console(::open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  termios state{};
  if (!console || ::tcgetattr(console.get(), &state) != 0) return console;
  ::cfmakeraw(&state);
  state.c_oflag |= OPOST | ONLCR;
  (void)::tcsetattr(console.get(), TCSANOW, &state);
  return console;
}

void write_line(int console, std::string_view text) {
  const std::string line = std::string(text) + "\n";
  const auto deadline = Clock::now() + kPatience;
  std::string_view left = line;
  int waiting = 0;
  while (console >= 0 && Clock::now() < deadline) {
    const ssize_t n = left.empty() ? 0 : ::write(console, left.data(), left.size());
    if (n > 0) left.remove_prefix(static_cast<std::size_t>(n));
    if (left.empty() && (::ioctl(console, TIOCOUTQ, &waiting) != 0 || waiting == 0)) return;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace nexcage::keeper
