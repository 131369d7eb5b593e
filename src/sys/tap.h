// Tap devices beside the interfaces of a network namespace: what a virtual machine is connected by.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/link.h"
#include "nexcage/sys/netns.h"

namespace nexcage::sys {

struct Link {
  std::string name;
  std::string address;  // 6 bytes
  std::uint32_t mtu = 0;
  std::string kind;  // "veth", "tun"; empty for hardware
};
/// The Ethernet interfaces of the caller's network namespace that are up, in their order, without
/// tap devices.
Result<std::vector<Link>> ethernet_links();
/// Whether the caller's network namespace has an interface of this name.
Result<bool> has_link(const std::string& name);

/// The routes of the main table that lead through the interface and are not the kernel's own (those
/// come with its addresses). Unsupported when the table has one that LinkRoute cannot say.
Result<std::vector<LinkRoute>> link_routes(const std::string& name);

/// A tap device of this name with this MTU, up; it goes when the descriptor is closed.
/// RuntimeNotAvailable without /dev/net/tun.
Result<UniqueFd> make_tap(const std::string& name, std::uint32_t mtu);

/// Every packet that comes in at `from` goes out at `to` and nowhere else (tc-mirred(8) behind an
/// ingress queue). What an earlier call left there is replaced; InvalidConfig when the interface
/// has packet filters of somebody else.
Result<> redirect_packets(const std::string& from, const std::string& to);
/// Takes away what redirect_packets() put on the interface. Nothing there is success, and filters
/// of somebody else stay.
Result<> stop_redirecting(const std::string& from);

/// An interface whose packets are redirected, for whoever ends that later.
struct Redirection {
  std::string network_path;  // a file that names its network namespace
  NetworkId network;         // which one that was: the file may name another since
  std::string interface;
  std::string tap;  // while the namespace has it somebody uses it
  bool operator==(const Redirection&) const = default;
};
std::string to_text(const Redirection& redirection);
/// nullopt for what to_text() cannot have made.
std::optional<Redirection> redirection_from(std::string_view text);
/// stop_redirecting() in that namespace, unless it or the interface is gone or has another user.
Result<> end_redirection(const Redirection& redirection);

}  // namespace nexcage::sys
