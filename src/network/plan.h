// From what was asked and what the host has to the network a container gets. Pure.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/network/address.h"
#include "nexcage/network/conflist.h"
#include "nexcage/network/host.h"
#include "nexcage/network/options.h"

namespace nexcage::network {

/// The part of the configuration that is about networks.
struct Config {
  std::string config_dir = "/etc/cni/net.d";              // [network] cni_config_dir
  std::string plugin_dirs = "/usr/lib/cni:/opt/cni/bin";  // [network] cni_plugin_dir
  std::string subnet;                                     // [network] subnet; empty: chosen
};

/// The bridge of the default network.
inline constexpr std::string_view kOwnBridge = "nexcage0";

/// The bridge that is ours, by no name or by its own.
bool is_own_bridge(const Wanted& wanted);

/// The network that our bridge has, or else gets: `configured`, or the first of a list of private
/// networks that meets no address and no route of the host. ConfigError when the bridge has another
/// one than `configured`, when that is no usable network, or when every candidate is in use.
Result<Prefix> choose_subnet(const HostFacts& host, const std::string& configured);

/// The address that our bridge has: its network is settled.
bool is_settled(const HostFacts& host);

/// The default network. InvalidSpec for an address outside it and for fields that are for bridges
/// of others.
Result<NetworkList> plan_own_bridge(const Wanted& wanted, const HostFacts& host,
                                    const Config& config);

/// An interface at a bridge that somebody else runs. Without "ip=" it gets no address: who gives
/// addresses there is not ours to know. A gateway that was not named is the one of the host's
/// default route through the bridge, else the bridge's own address, where they lie in the same
/// network. InvalidSpec for an address whose prefix length cannot be found out, and for published
/// ports without an address.
Result<NetworkList> plan_other_bridge(const Wanted& wanted, const HostFacts& host);

}  // namespace nexcage::network
