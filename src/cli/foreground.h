// Being the parent of a process of a container: signals forwarded, terminal relayed, exit
// collected.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::cli {

/// Holds the caller's signals back from the moment it is made, so that none is lost between the
/// start of the process and the moment somebody forwards them. Restores the mask when it goes.
class SignalGate {
 public:
  static Result<SignalGate> close();
  SignalGate(SignalGate&&) noexcept;
  SignalGate(const SignalGate&) = delete;
  SignalGate& operator=(SignalGate&&) = delete;
  SignalGate& operator=(const SignalGate&) = delete;
  ~SignalGate();
  /// signalfd(2) on which the held signals arrive.
  int fd() const { return fd_.get(); }

 private:
  SignalGate(UniqueFd fd, const sigset_t& saved) : fd_(std::move(fd)), saved_(saved) {}
  UniqueFd fd_;
  sigset_t saved_;
  bool active_ = true;
};

enum class Input : unsigned char { relayed, none };

/// The process to attend: a child of ours, or an orphan that we adopt as subreaper.
struct Attended {
  pid_t pid = 0;
  int pidfd = -1;
  int pty_master = -1;        // with a terminal
  Input input = Input::none;  // with a terminal: our standard input goes to it
};

/// Gives the terminal our window's size; nothing happens when we have no window.
void copy_window_size(int pty_master);

/// Returns the raw wait status of the process when it has ended and, with a terminal, its last
/// output has been written. Other children of ours that end meanwhile are reaped.
Result<int> attend(const SignalGate& gate, const Attended& process);

}  // namespace nexcage::cli
