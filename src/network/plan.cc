#include "nexcage/network/plan.h"

#include <algorithm>
#include <array>
#include <optional>

#include "nexcage/base/text.h"

namespace nexcage::network {
namespace {

constexpr int kSmallestNetwork = 30;  // two addresses: the gateway's and one container's
constexpr int kHalf = 1;  // "0.0.0.0/1" and "128.0.0.0/1" are a default route in two halves

/// A bridge has at most 1,024 ports (BR_PORT_BITS): /22. Away from what Docker, Podman, LXC and
/// Kubernetes take by default.
std::vector<std::string> candidates() {
  std::vector<std::string> list;
  for (int i = 112; i < 128; ++i) list.push_back("10." + std::to_string(i) + ".0.0/22");
  for (int i = 200; i < 248; i += 4) list.push_back("192.168." + std::to_string(i) + ".0/22");
  for (int i = 0; i < 64; i += 4) list.push_back("172.16." + std::to_string(i) + ".0/22");
  return list;
}

bool in_use(const Prefix& subnet, const HostFacts& host) {
  return std::ranges::any_of(host.addresses,
                             [&](const auto& have) { return have.prefix.overlaps(subnet); }) ||
         std::ranges::any_of(host.routes, [&](const Route& route) {
           return route.destination.length > kHalf && route.destination.overlaps(subnet);
         });
}

std::optional<Prefix> own_address(const HostFacts& host) {
  for (const InterfaceAddress& have : host.addresses)
    if (have.interface == kOwnBridge && have.prefix.address.family == Address::Family::v4)
      return have.prefix;
  return std::nullopt;
}

Result<Prefix> configured_subnet(const std::string& text) {
  const auto subnet = parse_prefix(text);
  if (!subnet || subnet->address.family != Address::Family::v4 ||
      subnet->length > kSmallestNetwork || subnet->network() != subnet->address)
    return fail(Errc::ConfigError, "[network] subnet " + quote(text) +
                                       ": expected an IPv4 network such as 10.112.0.0/22");
  return *subnet;
}

Prefix network_of(const Prefix& prefix) { return {prefix.network(), prefix.length}; }

/// "ip=" with its prefix length, found at the bridge when it was not given.
Result<Prefix> address_at(const Wanted& wanted, const HostFacts& host) {
  if (const auto prefix = parse_prefix(wanted.ip)) return *prefix;
  const auto address = parse_address(wanted.ip);
  for (const InterfaceAddress& have : host.addresses)
    if (address && have.interface == wanted.name && have.prefix.contains(*address))
      return Prefix{*address, have.prefix.length};
  return fail(Errc::InvalidSpec, "ip=" + quote(wanted.ip) + ": bridge " + wanted.name +
                                     " has no address in that network; give ip=ADDRESS/LENGTH");
}

std::string gateway_at(const Wanted& wanted, const Prefix& prefix, const HostFacts& host) {
  if (!wanted.gateway.empty()) return wanted.gateway;
  if (wanted.vlan) return {};  // the host's addresses are in another network
  for (const Route& route : host.routes)
    if (route.destination.length == 0 && route.interface == wanted.name &&
        !route.gateway.is_any() && prefix.contains(route.gateway))
      return route.gateway.str();
  for (const InterfaceAddress& have : host.addresses)
    if (have.interface == wanted.name && prefix.contains(have.prefix.address))
      return have.prefix.address.str();
  return {};
}

}  // namespace

bool is_own_bridge(const Wanted& wanted) {
  return wanted.mode == Mode::bridge && (wanted.name.empty() || wanted.name == kOwnBridge);
}

bool is_settled(const HostFacts& host) { return own_address(host).has_value(); }

Result<Prefix> choose_subnet(const HostFacts& host, const std::string& configured) {
  const auto have = own_address(host);
  if (!configured.empty()) {
    NX_TRY(const Prefix subnet, configured_subnet(configured));
    if (have && network_of(*have) != subnet) {
      Error error(Errc::ConfigError, "[network] subnet is " + subnet.str() + ", but bridge " +
                                         std::string(kOwnBridge) + " has " + have->str());
      return fail(
          std::move(error).hint("Delete the containers on it, then the bridge: ip link "
                                "delete " +
                                std::string(kOwnBridge)));
    }
    return subnet;
  }
  if (have) return network_of(*have);
  for (const std::string& text : candidates()) {
    const auto subnet = parse_prefix(text);
    if (subnet && !in_use(*subnet, host)) return *subnet;
  }
  return fail(Error(Errc::ConfigError, "every private network that containers could have is in use")
                  .hint("Choose one: [network] subnet in the configuration."));
}

Result<NetworkList> plan_own_bridge(const Wanted& wanted, const HostFacts& host,
                                    const Config& config) {
  if (wanted.vlan || !wanted.gateway.empty())
    return fail(Errc::InvalidSpec, "vlan= and gw= are for a bridge of the host: bridge:NAME");
  NX_TRY(const Prefix subnet, choose_subnet(host, config.subnet));
  if (!wanted.ip.empty()) {
    const auto with_length = parse_prefix(wanted.ip);
    const auto address = with_length ? with_length->address : parse_address(wanted.ip);
    if (!address || !subnet.contains(*address) || *address == subnet.network() ||
        *address == subnet.first_host())
      return fail(Errc::InvalidSpec,
                  "ip=" + quote(wanted.ip) + " is no address for a container in " + subnet.str());
  }
  return bridge_list({.bridge = std::string(kOwnBridge),
                      .own = true,
                      .subnet = subnet.str(),
                      .address = {},
                      .gateway = {},
                      .vlan = {},
                      .publishes = !wanted.ports.empty()});
}

Result<NetworkList> plan_other_bridge(const Wanted& wanted, const HostFacts& host) {
  BridgeSetup setup;
  setup.bridge = wanted.name;
  setup.vlan = wanted.vlan;
  setup.publishes = !wanted.ports.empty();
  if (!wanted.ip.empty()) {
    NX_TRY(const Prefix prefix, address_at(wanted, host));
    setup.address = prefix.str();
    setup.gateway = gateway_at(wanted, prefix, host);
  } else if (setup.publishes) {
    return fail(Errc::InvalidSpec,
                "--publish: on bridge " + wanted.name + " the container needs ip=ADDRESS/LENGTH");
  } else if (!wanted.gateway.empty()) {
    return fail(Errc::InvalidSpec, "gw= needs ip=");
  }
  return bridge_list(setup);
}

}  // namespace nexcage::network
