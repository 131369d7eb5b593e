// Ports of the host that lead to containers: two containers cannot have the same one, and neither
// can a program of the host.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/network/options.h"

namespace nexcage::network {

/// A published port and who has it.
struct Taken {
  Port port;
  std::string owner;
};

/// The one of `taken` that `port` would share packets with; nullptr when there is none. Pure.
const Taken* find_conflict(const Port& port, const std::vector<Taken>& taken);

/// Gives every port that asks for any one a free port of the host, and checks the others by binding
/// them once. InvalidState naming the container, or saying that the host itself uses the port;
/// ConfigError for an address that the host does not have.
Result<std::vector<Port>> claim_ports(std::vector<Port> ports, const std::vector<Taken>& taken);

}  // namespace nexcage::network
