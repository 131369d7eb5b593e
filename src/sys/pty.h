// Pseudo terminals, and descriptors sent over unix sockets.
#pragma once

#include <sys/types.h>
#include <termios.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::sys {

struct WindowSize {
  std::uint16_t rows = 0, columns = 0;
};
Result<> set_window_size(int tty, WindowSize size);
Result<WindowSize> window_size(int tty);
/// ONLCR and friends as runc sets them on a container's terminal: output is left as it is.
Result<> disable_onlcr(int tty);

/// Writes the question to `out` and reads one line from the user's terminal, without its end and
/// not shown while it is typed; what was typed before the question is thrown away. A signal that
/// ends the program does so with the terminal as it was. FileError (ENODATA) at the end of input.
Result<std::string> read_hidden_line(int tty, int out, std::string_view question);

/// Raw mode on the user's terminal for as long as this lives.
class RawTerminal {
 public:
  static Result<RawTerminal> enter(int tty);
  RawTerminal(RawTerminal&&) noexcept;
  RawTerminal& operator=(RawTerminal&&) noexcept;
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();

 private:
  RawTerminal(int tty, termios saved) : tty_(tty), saved_(saved) {}
  int tty_;
  termios saved_;
};

/// A message with descriptors (SCM_RIGHTS) and the sender's pid as this namespace sees it
/// (SCM_CREDENTIALS; the receiver must have set SO_PASSCRED).
struct Message {
  std::string data;
  std::vector<UniqueFd> fds;
  std::optional<pid_t> sender;
};
Result<> send_message(int socket, std::string_view data, std::span<const int> fds = {});
/// Empty data and no descriptors: the peer closed. At most `max_bytes`; longer is an error.
Result<Message> receive_message(int socket, std::size_t max_bytes = 1u << 16);
/// AF_UNIX SOCK_SEQPACKET pair, CLOEXEC; `first` passes credentials on receipt.
struct SocketPair {
  UniqueFd first, second;
};
Result<SocketPair> socket_pair();
/// Connects to / listens on a path socket; long paths go through /proc/self/fd of the directory.
Result<UniqueFd> connect_unix(const std::string& path, int type);
Result<UniqueFd> listen_unix(int dir, const std::string& name, int type, mode_t mode);

/// Sends a pty master over a console socket as OCI engines expect it (runc's protocol: one message
/// with the tty's name as data and the descriptor as SCM_RIGHTS, SOCK_STREAM).
Result<> send_console(const std::string& socket_path, int master);

}  // namespace nexcage::sys
