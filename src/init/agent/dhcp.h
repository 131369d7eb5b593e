// Addresses by DHCP: asked for, set, and kept as long as the machine runs.
#pragma once

#include <string>

#include "nexcage/base/error.h"

namespace nexcage::init::agent {

/// Asks for an address for the interface `name`, which is up and has the hardware address `mac` (6
/// bytes), and sets it, the route to the gateway and, in kResolvConf, the servers for names. A
/// process of its own renews the lease. Timeout when nobody answers in time; that process goes on
/// asking then.
Result<> acquire_address(const std::string& name, const std::string& mac);

/// What servers have said of names, for the container's /etc/resolv.conf.
inline constexpr const char* kResolvConf = "/run/resolv.conf";

}  // namespace nexcage::init::agent
