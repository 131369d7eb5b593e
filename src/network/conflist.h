// Network configurations as the Container Network Interface has them (CNI spec 1.0.0, section 1):
// lists of plugins, from files or made here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::network {

struct NetworkList {
  std::string name;
  std::string version;  // of the CNI protocol that is spoken with its plugins
  std::vector<json::Object> plugins;

  /// A plugin of the list takes this value at run time ("portMappings", "ips", "mac")?
  bool takes(std::string_view capability) const;
};

/// A .conflist. ConfigError naming the member that is wrong; Unsupported for a protocol that is
/// newer than 1.0.0.
Result<NetworkList> parse_list(const json::Value& value);
/// A .conf: one plugin with the network's name, made into a list.
Result<NetworkList> parse_single(const json::Value& value);
json::Value to_json(const NetworkList& list);

/// The network of this name: *.conflist, then *.conf and *.json, each in the order of their names;
/// the first one counts, as in libcni. Files that cannot be used are logged and passed over.
/// ConfigError with the names there are when there is none of that name.
Result<NetworkList> find_network(const std::string& directory, const std::string& name);

/// What the lists that are made here say.
struct BridgeSetup {
  std::string bridge;
  bool own = false;     // ours: gateway, masquerading, allocation of addresses
  std::string subnet;   // own: the network to allocate from
  std::string address;  // of others: with prefix length; empty: none
  std::string gateway;  // of others: empty: none
  std::optional<int> vlan;
  bool publishes = false;
};
/// Plugins bridge (with host-local or static), portmap where ports are published, firewall for our
/// own bridge. Pure.
NetworkList bridge_list(const BridgeSetup& setup);

/// Where leases of our own network are kept: on a tmpfs, as they end with the containers at reboot.
inline constexpr std::string_view kLeases = "/run/cni/networks";

}  // namespace nexcage::network
