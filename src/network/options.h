// What the user asked of a container's network: the words of the command line, and what they mean.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::network {

/// The words as they were given. Kept as text, so that they can travel to another process.
struct Options {
  std::string network;                // --network; empty: the configured default
  std::vector<std::string> publish;   // -p, --publish
  std::vector<std::string> dns;       // --dns
  std::vector<std::string> search;    // --dns-search
  std::vector<std::string> add_host;  // --add-host
};
json::Value to_json(const Options& options);
/// InvalidJson for a document that `to_json` did not make.
Result<Options> parse_options_json(const json::Value& value);

enum class Mode : std::uint8_t {
  none,    // a new namespace with lo alone
  user,    // a new namespace in which a virtual machine's user-mode network is; ports lead there
  host,    // the host's own
  bridge,  // an interface at a bridge of this host
  path,    // a namespace that somebody else made
  cni,     // a network of the CNI configuration directory
};

enum class Protocol : std::uint8_t { tcp, udp };
std::string_view protocol_name(Protocol protocol);  // "tcp"

/// One port of the host that leads to one of the container.
struct Port {
  std::string host_ip;     // empty: all addresses of the host
  std::uint16_t host = 0;  // 0: any free one
  std::uint16_t container = 0;
  Protocol protocol = Protocol::tcp;
  bool operator==(const Port&) const = default;
};
/// "127.0.0.1:8080->80/tcp", as engines show it.
std::string to_string(const Port& port);

/// A line for /etc/hosts. The address "host-gateway" stands for the host as the container sees it.
struct HostEntry {
  std::string name, address;
  bool operator==(const HostEntry&) const = default;
};
inline constexpr std::string_view kHostGateway = "host-gateway";

struct Wanted {
  Mode mode = Mode::none;
  std::string name;     // bridge (empty: our own), absolute path, or name of the CNI network
  std::string ip;       // address, at a bridge of others with prefix length; empty: any
  std::string gateway;  // empty: found out
  std::string mac;      // empty: any
  std::optional<std::uint16_t> vlan;
  std::vector<Port> ports;
  std::vector<std::string> dns, search;
  std::vector<HostEntry> hosts;
};

/// none | host | user | bridge[:NAME] | ns:PATH | cni:NAME, and for bridge and cni ",ip=", ",mac=",
/// for bridge ",vlan=" and ",gw=". InvalidSpec with the words that are known; Unsupported for what
/// Podman has and we do not.
Result<Wanted> parse_network(std::string_view text);

/// [[IP:][HOST]:]CONTAINER[/tcp|/udp], where both ports may be ranges of the same length. Without a
/// host port any free one is taken. An IPv6 address stands in brackets.
Result<std::vector<Port>> parse_publish(std::string_view text);

/// NAME:ADDRESS or NAME:host-gateway.
Result<HostEntry> parse_add_host(std::string_view text);

/// All of them; `configured` is the network of containers that name none. InvalidSpec for ports of
/// a network that cannot publish any.
Result<Wanted> parse_options(const Options& options, const std::string& configured);

}  // namespace nexcage::network
