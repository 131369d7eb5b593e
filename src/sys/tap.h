// Tap devices beside the interfaces of a network namespace: what a virtual machine is connected by.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/link.h"

namespace nexcage::sys {

struct Link {
  std::string name;
  std::string address;  // 6 bytes
  std::uint32_t mtu = 0;
};
/// The Ethernet interfaces of the caller's network namespace that are up, in their order.
Result<std::vector<Link>> ethernet_links();

/// The routes of the main table that lead through the interface and are not the kernel's own (those
/// come with its addresses).
Result<std::vector<LinkRoute>> link_routes(const std::string& name);

/// A tap device of this name with this MTU, up; it goes when the descriptor is closed.
/// RuntimeNotAvailable without /dev/net/tun.
Result<UniqueFd> make_tap(const std::string& name, std::uint32_t mtu);

/// Every packet that comes in at `from` goes out at `to` and nowhere else (tc-mirred(8) behind an
/// ingress queue).
Result<> redirect_packets(const std::string& from, const std::string& to);

}  // namespace nexcage::sys
