// The guest's network devices, as the host has them described.
#pragma once

#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/init/agent/machine.h"
#include "nexcage/vm/protocol/message.h"

namespace nexcage::init::agent {

/// Names and sets up the interfaces, and lo.
Result<> set_up_network(Machine& machine, const std::vector<vm::protocol::Interface>& interfaces);

}  // namespace nexcage::init::agent
