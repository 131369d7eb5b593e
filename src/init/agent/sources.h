// What the descriptors of a container's plan are in the guest: mounts made of disks, shares and
// copied files.
#pragma once

#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/init/agent/machine.h"
#include "nexcage/vm/protocol/message.h"

namespace nexcage::init::agent {

/// A detached mount for each source, in their order.
Result<std::vector<UniqueFd>> open_sources(Machine& machine,
                                           const std::vector<vm::protocol::Source>& sources);

}  // namespace nexcage::init::agent
