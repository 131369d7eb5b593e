// A machine that has no vm helper at the other end of its port (vm/protocol/standalone.h).
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/init/agent/machine.h"

namespace nexcage::init::agent {

/// The initramfs holds a record of what to do.
bool stands_alone();

/// Starts the keeper, a program beside us that has the helper's part; returns our end of the line
/// between the two, whose other end goes with the keeper.
Result<UniqueFd> start_keeper(Machine& machine);

}  // namespace nexcage::init::agent
