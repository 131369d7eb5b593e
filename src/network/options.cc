#include "nexcage/network/options.h"

#include <net/if.h>

#include <algorithm>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/network/address.h"

namespace nexcage::network {
namespace {

constexpr std::string_view kForms = "none, host, user, bridge[:NAME], ns:PATH, cni:NAME";
constexpr std::uint64_t kMaxVlan = 4094;  // IEEE 802.1Q
constexpr std::size_t kMaxSearch = 256;   // resolv.conf(5)
constexpr std::size_t kMaxPorts = 1024;   // each costs several rules of the packet filter

/// What dev_valid_name() of the kernel asks for.
bool is_interface_name(std::string_view name) {
  return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
         is_printable(name) && name.find_first_of("/: \t") == std::string_view::npos;
}

/// RFC 952 and 1123, and underscores, as they are in use.
bool is_host_name(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  return !name.empty() && name.size() <= kMaxSearch && name.front() != '-' &&
         std::ranges::all_of(name, good);
}

Result<> set_ip(Wanted& wanted, const std::string& value) {
  if (!parse_address(value) && !parse_prefix(value))
    return fail(Errc::InvalidSpec, "ip=" + quote(value) + ": expected an address");
  wanted.ip = value;
  return {};
}

Result<> set_vlan(Wanted& wanted, const std::string& value) {
  const auto number = parse_u64(value);
  if (!number || *number < 1 || *number > kMaxVlan)
    return fail(Errc::InvalidSpec, "vlan=" + quote(value) + ": expected a number from 1 to 4094");
  wanted.vlan = static_cast<std::uint16_t>(*number);
  return {};
}

Result<> set_gateway(Wanted& wanted, const std::string& value) {
  if (!parse_address(value))
    return fail(Errc::InvalidSpec, "gw=" + quote(value) + ": expected an address");
  wanted.gateway = value;
  return {};
}

Result<> add_field(Wanted& wanted, const std::string& field) {
  const std::size_t equals = field.find('=');
  const std::string name = field.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
  if (wanted.mode != Mode::bridge && wanted.mode != Mode::cni)
    return fail(Errc::InvalidSpec, quote(field) + " is for bridge and cni networks");
  if (name == "ip") return set_ip(wanted, value);
  if (name == "mac") {
    NX_TRY(wanted.mac, parse_mac(value));
    return {};
  }
  if (wanted.mode == Mode::bridge && name == "vlan") return set_vlan(wanted, value);
  if (wanted.mode == Mode::bridge && name == "gw") return set_gateway(wanted, value);
  return fail(Errc::InvalidSpec, "unknown field " + quote(name));
}

Result<> set_mode(Wanted& wanted, const std::string& word) {
  const std::size_t colon = word.find(':');
  const std::string kind = word.substr(0, colon);
  const bool named = colon != std::string::npos;
  wanted.name = named ? word.substr(colon + 1) : "";
  if (kind == "bridge" && (!named || is_interface_name(wanted.name))) {
    wanted.mode = Mode::bridge;
  } else if (kind == "none" && !named) {
    wanted.mode = Mode::none;
  } else if (kind == "host" && !named) {
    wanted.mode = Mode::host;
  } else if (kind == "user" && !named) {
    wanted.mode = Mode::user;
  } else if (kind == "ns" && wanted.name.starts_with('/')) {
    wanted.mode = Mode::path;
  } else if (kind == "cni" && !wanted.name.empty()) {
    wanted.mode = Mode::cni;
  } else if (kind == "container" || kind == "slirp4netns" || kind == "pasta" || kind == "private") {
    return fail(Errc::Unsupported,
                "network " + quote(kind) + "; expected one of " + std::string(kForms));
  } else {
    return fail(Errc::InvalidSpec,
                "network " + quote(word) + ": expected one of " + std::string(kForms));
  }
  return {};
}

struct Range {
  std::uint16_t first = 0, last = 0;
  unsigned size() const { return static_cast<unsigned>(last) - first + 1U; }
};

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto number = parse_u64(text);
  if (!number || *number == 0 || *number > UINT16_MAX) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

Result<Range> parse_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *last < *first)
    return fail(Errc::InvalidSpec, quote(text) + " is no port or range of ports");
  return Range{*first, *last};
}

/// Takes "/udp" off the end.
Result<Protocol> take_protocol(std::string_view& text) {
  const std::size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return Protocol::tcp;
  const std::string name = to_lower(text.substr(slash + 1));
  text = text.substr(0, slash);
  if (name == "tcp") return Protocol::tcp;
  if (name == "udp") return Protocol::udp;
  return fail(Errc::Unsupported, "protocol " + quote(name) + ": only tcp and udp are published");
}

/// Takes "127.0.0.1:" or "[::1]:" off the front; empty when there is none.
Result<std::string> take_host_ip(std::string_view& text) {
  std::string_view host;
  if (text.starts_with('[')) {
    const std::size_t end = text.find("]:");
    if (end == std::string_view::npos)
      return fail(Errc::InvalidSpec, "expected ]: behind the IPv6 address");
    host = text.substr(1, end - 1);
    text.remove_prefix(end + 2);
  } else if (std::ranges::count(text, ':') == 2) {
    host = text.substr(0, text.find(':'));
    text.remove_prefix(host.size() + 1);
  } else {
    return std::string();
  }
  if (host.empty()) return std::string();
  const auto address = parse_address(host);
  if (!address) return fail(Errc::InvalidSpec, quote(host) + " is no address of the host");
  return address->is_any() ? std::string() : address->str();
}

Result<std::vector<Port>> expand(std::string_view text) {
  NX_TRY(const Protocol protocol, take_protocol(text));
  NX_TRY(const std::string host_ip, take_host_ip(text));
  const std::size_t colon = text.find(':');
  const std::string_view host_text =
      colon == std::string_view::npos ? std::string_view() : text.substr(0, colon);
  NX_TRY(const Range container,
         parse_range(colon == std::string_view::npos ? text : text.substr(colon + 1)));
  std::optional<Range> host;
  if (!host_text.empty()) {
    NX_TRY(host, parse_range(host_text));
    if (host->size() != container.size())
      return fail(Errc::Unsupported, "ranges of different lengths");
  }
  std::vector<Port> ports;
  for (unsigned i = 0; i < container.size(); ++i) {
    const auto host_port = static_cast<std::uint16_t>(host ? host->first + i : 0);
    ports.push_back(
        {host_ip, host_port, static_cast<std::uint16_t>(container.first + i), protocol});
  }
  return ports;
}

Result<> check_ports(const Wanted& wanted) {
  if (wanted.ports.empty()) return {};
  if (wanted.ports.size() > kMaxPorts)
    return fail(Errc::Unsupported, "--publish: more than " + std::to_string(kMaxPorts) + " ports");
  if (wanted.mode == Mode::none || wanted.mode == Mode::path)
    return fail(Errc::InvalidSpec, "--publish: network " +
                                       std::string(wanted.mode == Mode::none ? "none" : "ns") +
                                       " leads nowhere that nexcage knows of");
  if (wanted.mode == Mode::host)
    return fail(Errc::InvalidSpec, "--publish: with network host every port is the host's already");
  const bool v6 = std::ranges::any_of(
      wanted.ports, [](const Port& port) { return port.host_ip.find(':') != std::string::npos; });
  if (v6 && wanted.mode == Mode::bridge && wanted.name.empty())
    return fail(Errc::Unsupported, "--publish on an IPv6 address: the default network is IPv4");
  if (wanted.mode == Mode::user && std::ranges::any_of(wanted.ports, [](const Port& port) {
        return port.protocol != Protocol::tcp;
      }))
    return fail(Errc::Unsupported, "--publish: network user leads TCP connections only");
  // Two ways to the same port of the host.
  for (auto port = wanted.ports.begin(); port != wanted.ports.end(); ++port)
    for (auto other = wanted.ports.begin(); other != port; ++other)
      if (port->host != 0 && port->host == other->host && port->protocol == other->protocol &&
          (port->host_ip == other->host_ip || port->host_ip.empty() || other->host_ip.empty()))
        return fail(Errc::InvalidSpec,
                    "--publish: host port " + std::to_string(port->host) + " is given twice");
  return {};
}

json::Array words(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

Result<std::vector<std::string>> parse_words(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  const json::Array* array = member != nullptr ? member->if_array() : nullptr;
  if (array == nullptr)
    return fail(Errc::InvalidJson, "/network/" + std::string(name) + ": is no array");
  std::vector<std::string> list;
  for (const json::Value& item : *array) {
    if (item.if_string() == nullptr)
      return fail(Errc::InvalidJson, "/network/" + std::string(name) + ": is no list of strings");
    list.push_back(*item.if_string());
  }
  return list;
}

}  // namespace

json::Value to_json(const Options& options) {
  json::Object object;
  object.set("network", options.network);
  object.set("publish", words(options.publish));
  object.set("dns", words(options.dns));
  object.set("search", words(options.search));
  object.set("add_host", words(options.add_host));
  return object;
}

Result<Options> parse_options_json(const json::Value& value) {
  Options options;
  const json::Value* network = value.find("network");
  if (network == nullptr || network->if_string() == nullptr)
    return fail(Errc::InvalidJson, "/network/network: is no string");
  options.network = *network->if_string();
  NX_TRY(options.publish, parse_words(value, "publish"));
  NX_TRY(options.dns, parse_words(value, "dns"));
  NX_TRY(options.search, parse_words(value, "search"));
  NX_TRY(options.add_host, parse_words(value, "add_host"));
  return options;
}

std::string_view protocol_name(Protocol protocol) {
  return protocol == Protocol::tcp ? "tcp" : "udp";
}

std::string to_string(const Port& port) {
  const bool v6 = port.host_ip.find(':') != std::string::npos;
  const std::string host = port.host_ip.empty() ? "0.0.0.0"
                           : v6                 ? "[" + port.host_ip + "]"
                                                : port.host_ip;
  return host + ":" + std::to_string(port.host) + "->" + std::to_string(port.container) + "/" +
         std::string(protocol_name(port.protocol));
}

Result<Wanted> parse_network(std::string_view text) {
  // A path is taken as it is: it may hold a comma.
  const std::vector<std::string> parts =
      text.starts_with("ns:") ? std::vector<std::string>{std::string(text)} : split(text, ',');
  const std::string context = "--network " + quote(text);
  Wanted wanted;
  NX_CHECK(set_mode(wanted, parts.front()), context);
  for (auto field = parts.begin() + 1; field != parts.end(); ++field)
    NX_CHECK(add_field(wanted, *field), context);
  return wanted;
}

Result<std::vector<Port>> parse_publish(std::string_view text) {
  NX_TRY(std::vector<Port> ports, expand(text), "--publish " + quote(text));
  return ports;
}

Result<HostEntry> parse_add_host(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const std::string_view address =
      colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if (!is_host_name(name) || (address != kHostGateway && !parse_address(address)))
    return fail(Errc::InvalidSpec, "--add-host " + quote(text) + ": expected NAME:ADDRESS");
  return HostEntry{std::string(name), std::string(address)};
}

Result<Wanted> parse_options(const Options& options, const std::string& configured) {
  NX_TRY(Wanted wanted, parse_network(options.network.empty() ? configured : options.network));
  for (const std::string& text : options.publish) {
    NX_TRY(const std::vector<Port> ports, parse_publish(text));
    wanted.ports.insert(wanted.ports.end(), ports.begin(), ports.end());
  }
  NX_CHECK(check_ports(wanted));
  for (const std::string& server : options.dns) {
    if (!parse_address(server))
      return fail(Errc::InvalidSpec, "--dns " + quote(server) + ": expected an address");
    wanted.dns.push_back(server);
  }
  for (const std::string& domain : options.search) {
    if (!is_host_name(domain))
      return fail(Errc::InvalidSpec, "--dns-search " + quote(domain) + ": expected a domain");
    wanted.search.push_back(domain);
  }
  for (const std::string& text : options.add_host) {
    NX_TRY(HostEntry entry, parse_add_host(text));
    wanted.hosts.push_back(std::move(entry));
  }
  return wanted;
}

}  // namespace nexcage::network
