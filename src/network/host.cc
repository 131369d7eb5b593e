#include "nexcage/network/host.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include "nexcage/base/text.h"
#include "nexcage/network/files.h"
#include "nexcage/sys/fs.h"

namespace nexcage::network {
namespace {

constexpr std::size_t kMaxFile = 1U << 20;
constexpr std::string_view kResolvedServers = "/run/systemd/resolve/resolv.conf";

/// Eight hexadecimal digits of a 32-bit number that lies in memory as the address does.
std::optional<Address> parse_hex(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  Address address;
  std::memcpy(address.bytes.data(), &number, sizeof number);
  return address;
}

int prefix_length(const std::uint8_t* mask, std::size_t size) {
  int length = 0;
  for (std::size_t i = 0; i < size; ++i) length += std::popcount(mask[i]);
  return length;
}

std::optional<Address> address_of(const sockaddr* given) {
  if (given == nullptr) return std::nullopt;
  Address address;
  if (given->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, given, sizeof v4);
    std::memcpy(address.bytes.data(), &v4.sin_addr, sizeof v4.sin_addr);
    return address;
  }
  if (given->sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6{};
  std::memcpy(&v6, given, sizeof v6);
  address.family = Address::Family::v6;
  std::memcpy(address.bytes.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
  return address;
}

Result<std::vector<InterfaceAddress>> read_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail_errno("read the addresses of this host");
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  std::vector<InterfaceAddress> addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const auto address = address_of(entry->ifa_addr);
    const auto mask = address_of(entry->ifa_netmask);
    if (!address || !mask) continue;
    const auto size = static_cast<std::size_t>(address->bits()) / 8;
    addresses.push_back(
        {entry->ifa_name, Prefix{*address, prefix_length(mask->bytes.data(), size)}});
  }
  return addresses;
}

std::string read_or_empty(std::string_view path) {
  auto text = sys::read_file(AT_FDCWD, std::string(path), kMaxFile);
  return text ? std::move(*text) : std::string();
}

}  // namespace

std::vector<Route> parse_routes(std::string_view text) {
  std::vector<Route> routes;
  for (const std::string& line : split(text, '\n')) {
    std::vector<std::string> words = split(line, '\t');
    constexpr std::size_t kMask = 7;
    if (words.size() <= kMask) continue;
    const auto destination = parse_hex(trim(words[1]));
    const auto gateway = parse_hex(trim(words[2]));
    const auto mask = parse_hex(trim(words[kMask]));
    if (!destination || !gateway || !mask) continue;  // the heading, too
    routes.push_back({Prefix{*destination, prefix_length(mask->bytes.data(), 4)}, *gateway,
                      std::string(trim(words[0]))});
  }
  return routes;
}

Result<HostFacts> read_host() {
  HostFacts host;
  NX_TRY(host.addresses, read_addresses());
  NX_TRY(const std::string routes, sys::read_file(AT_FDCWD, "/proc/thread-self/net/route"));
  host.routes = parse_routes(routes);
  return host;
}

Result<Link> find_link(const std::string& interface) {
  if (interface.empty() || interface.size() >= IFNAMSIZ) return Link::missing;
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("open a socket");
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  ifreq request{};
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  request.ifr_data = reinterpret_cast<char*>(&info);
  if (::ioctl(socket.get(), SIOCETHTOOL, &request) != 0) {
    if (errno == ENODEV) return Link::missing;
    if (errno == EOPNOTSUPP) return Link::other;
    return fail_errno("ask for interface " + interface);
  }
  return std::string_view(info.driver) == "bridge" ? Link::bridge : Link::other;
}

std::string read_host_resolv_conf() {
  std::string text = read_or_empty("/etc/resolv.conf");
  if (!names_only_resolved_stub(text)) return text;
  std::string servers = read_or_empty(kResolvedServers);
  return servers.empty() ? text : servers;
}

std::string read_host_hosts() { return read_or_empty("/etc/hosts"); }

}  // namespace nexcage::network
