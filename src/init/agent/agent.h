// The agent: first process of a virtual machine. Speaks with the host's vm helper over a
// virtio-serial port, makes the container, starts its processes and passes on what they say. In a
// machine that stands alone (vm/protocol/standalone.h) a program of its own, the keeper, has the
// helper's part.
#pragma once

namespace nexcage::init::agent {

/// Serves the host until it says "shutdown" or is gone, then powers the machine off.
[[noreturn]] void run();

}  // namespace nexcage::init::agent
