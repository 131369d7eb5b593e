// The host's side of a terminal: a pty that passes everything on as it is, because the guest's own
// terminal does what a terminal does.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/pty.h"

namespace nexcage::vm::host {

struct Terminal {
  UniqueFd master;  // for whoever the container's terminal is given to
  UniqueFd slave;   // ours
};

/// Opens one, in raw mode, of this size (0: unknown).
Result<Terminal> open_terminal(sys::WindowSize size);

/// Makes the slave this process's controlling terminal, in a session of its own, so that a change
/// of its size is told by SIGWINCH.
Result<> control_terminal(int slave);

}  // namespace nexcage::vm::host
