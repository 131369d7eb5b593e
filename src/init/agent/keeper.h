// What stands for the host in a machine that stands alone: a process of its own beside the agent
// that speaks the host's side of the protocol with it. It has the container made and started, joins
// it to the machine's console, serves the QEMU guest agent's port, and ends the machine with the
// container.
#pragma once

#include <optional>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/init/agent/machine.h"
#include "nexcage/vm/protocol/standalone.h"

namespace nexcage::init::agent {

/// The machine's record; nullopt: it does not stand alone. The errors of decode<Standalone>().
Result<std::optional<vm::protocol::Standalone>> read_record();

/// Starts it; returns the agent's end of the line between the two. The keeper ends with the line,
/// and the machine with the keeper.
Result<UniqueFd> start_keeper(Machine& machine, const vm::protocol::Standalone& record);

}  // namespace nexcage::init::agent
