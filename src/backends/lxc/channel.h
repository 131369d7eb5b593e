// The runtime's side of the conversation with the first process.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/oci/state.h"
#include "nexcage/sys/plan.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/sys/pty.h"

namespace nexcage::backends::lxc {

/// One message, its kind taken off. A Failure of the peer has become an error already.
struct Incoming {
  sys::plan::MessageKind kind{};
  std::string content;
  std::vector<UniqueFd> fds;
  pid_t sender = 0;  // as the caller's pid namespace sees it
};

/// The next message. The peer's failure is returned as the error it describes; a peer that is gone
/// is LXCError.
Result<Incoming> receive(int channel);
/// The same, which must be of this kind.
Result<Incoming> expect(int channel, sys::plan::MessageKind kind);
Result<> send(int channel, sys::plan::MessageKind kind, std::string_view content = {});
/// Sends plan and descriptors (the plan's, in order).
Result<> send_plan(int channel, const sys::plan::Plan& plan, const std::vector<UniqueFd>& fds);
/// Who answers the notifications of a seccomp filter, and what it is told of the process.
struct SeccompListener {
  std::string path, metadata;  // linux.seccomp.listenerPath, listenerMetadata
  oci::State state;
  pid_t pid = 0;
};
/// The container process state of config-linux.md, "Seccomp".
std::string describe(const SeccompListener& listener);
/// Waits until the peer has become the user's program (the channel closes) or says why not. The
/// descriptor of its notifications, if its filter has them, goes to the listener; a listener that
/// is not there is an error, and the peer is to be ended then.
Result<> await_execution(int channel, const SeccompListener& listener);

/// "exec failed" etc. as the error the first process meant.
Error error_of(const sys::plan::Failure& failure);

/// The terminal's master goes to the console socket, or to the caller.
Result<> deliver_terminal(UniqueFd master, const std::optional<std::string>& console_socket,
                          UniqueFd& kept);

}  // namespace nexcage::backends::lxc
