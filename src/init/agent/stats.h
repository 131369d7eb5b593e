// What the container has used, as the guest's kernel counts.
#pragma once

#include "nexcage/vm/protocol/message.h"

namespace nexcage::init::agent {

/// What cannot be read is zero.
vm::protocol::Stats read_stats();
/// How often the kernel has killed a process of the container for want of memory.
std::uint64_t out_of_memory_kills();

}  // namespace nexcage::init::agent
