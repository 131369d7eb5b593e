// What stands for the host in a machine that stands alone: a program of its own beside the agent
// that speaks the host's side of the protocol with it. It has the container made and started, joins
// it to the machine's console, serves the QEMU guest agent's port, and ends the machine with the
// container.
#pragma once

#include "nexcage/base/unique_fd.h"

namespace nexcage::keeper {

/// Does all that for the record in the initramfs (vm/protocol/standalone.h). `line` leads to the
/// agent. Returns once the agent was told to end the machine, or when something is wrong, which is
/// then on the console: the end of the line is the machine's.
void run(UniqueFd line);

}  // namespace nexcage::keeper
