// The life of the first process of a container, and of every process that is executed in one, up to
// the user's program.
#pragma once

namespace nexcage::init {

/// Receives a plan over the socket, applies it, executes the program. Returns only when that was
/// not to be done, with the exit status; whoever is at the other end was told why.
int run_first_process(int channel);

}  // namespace nexcage::init
