// Network interfaces by rtnetlink(7): what linux.netDevices needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::sys {

/// An address of an interface, in network byte order.
struct LinkAddress {
  std::uint8_t family = 0;  // AF_INET, AF_INET6
  std::uint8_t prefix = 0;
  std::string local, broadcast;  // 4 or 16 bytes; broadcast may be empty
};

/// The permanent addresses with global scope of an interface in the caller's network namespace.
/// FileError (ENODEV) when there is none of that name.
Result<std::vector<LinkAddress>> link_addresses(const std::string& name);

/// Moves an interface of the caller's network namespace into the one behind the descriptor, under
/// `new_name`. The kernel takes its addresses away and sets it down.
Result<> move_link(const std::string& name, int network_namespace, const std::string& new_name);

/// Gives an interface of the caller's network namespace the addresses and sets it up.
Result<> set_up_link(const std::string& name, const std::vector<LinkAddress>& addresses);

/// A route of the caller's network namespace through an interface. `destination` (4 or 16 bytes in
/// network byte order, empty with prefix 0) and `gateway` (empty: on the link).
struct LinkRoute {
  std::uint8_t family = 0, prefix = 0;
  std::string destination, gateway;
  std::string source{};        // preferred address of ours, as RTA_PREFSRC; may be empty
  std::string metrics{};       // what RTA_METRICS holds; may be empty
  std::uint32_t priority = 0;  // 0: the kernel's default
  bool on_link = false;        // the gateway is there although no other route says so
};
/// Adds the route; the interface must be up.
Result<> add_route(const std::string& name, const LinkRoute& route);

/// The name of the interface with this hardware address (6 bytes); FileError (ENODEV) when there is
/// none.
Result<std::string> find_link(const std::string& address);
/// Renames an interface that is down, and sets its MTU (0: as it is).
Result<> change_link(const std::string& name, const std::string& new_name, std::uint32_t mtu);

}  // namespace nexcage::sys
