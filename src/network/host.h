// What this host's network looks like, as far as a container's network depends on it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/network/address.h"

namespace nexcage::network {

struct InterfaceAddress {
  std::string interface;
  Prefix prefix;
};

/// A route of the main table, IPv4.
struct Route {
  Prefix destination;  // 0.0.0.0/0: the default route
  Address gateway;     // 0.0.0.0: directly connected
  std::string interface;
};

struct HostFacts {
  std::vector<InterfaceAddress> addresses;
  std::vector<Route> routes;
};

/// The text of /proc/net/route (proc(5)); lines of another form are left out. Pure.
std::vector<Route> parse_routes(std::string_view text);

/// Of the network namespace of the calling process.
Result<HostFacts> read_host();

enum class Link : std::uint8_t { missing, bridge, other };
/// What is behind an interface's name in the network namespace of the calling process (ethtool's
/// name of the driver tells a bridge).
Result<Link> find_link(const std::string& interface);

/// The text of a resolv.conf(5) that a container can use: the host's, and where that only names the
/// stub of systemd-resolved, the file with the real servers. Empty when there is none.
std::string read_host_resolv_conf();
/// The text of the host's /etc/hosts; empty when there is none.
std::string read_host_hosts();

}  // namespace nexcage::network
