#include "nexcage/helpers/keeper/guest_facts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace nexcage::keeper {
namespace {

struct Interface {
  std::string name, hardware;
  json::Array addresses;
};

Interface& find(std::vector<Interface>& interfaces, const char* name) {
  for (Interface& one : interfaces)
    if (one.name == name) return one;
  interfaces.push_back({.name = name, .hardware = {}, .addresses = {}});
  return interfaces.back();
}

std::string hardware_address(const sockaddr_ll& link) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < link.sll_halen && i < sizeof link.sll_addr; ++i) {
    if (i > 0) out += ':';
    out += kDigits[link.sll_addr[i] >> 4];
    out += kDigits[link.sll_addr[i] & 15];
  }
  return out;
}

/// The bytes of an address of either family.
std::string bytes_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return {reinterpret_cast<const char*>(&v4.sin_addr), sizeof v4.sin_addr};
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  return {reinterpret_cast<const char*>(&v6.sin6_addr), sizeof v6.sin6_addr};
}

json::Value ip_address(const sockaddr& address, const sockaddr* mask) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(address.sa_family, bytes_of(address).data(), text.data(), text.size());
  int prefix = 0;
  if (mask != nullptr)
    for (const char byte : bytes_of(*mask))
      prefix += std::popcount(static_cast<unsigned char>(byte));
  json::Object out;
  out.set("ip-address", text.data());
  out.set("ip-address-type", address.sa_family == AF_INET ? "ipv4" : "ipv6");
  out.set("prefix", prefix);
  return json::Value(std::move(out));
}

void add(std::vector<Interface>& interfaces, const ifaddrs& entry) {
  Interface& interface = find(interfaces, entry.ifa_name);
  if (entry.ifa_addr == nullptr) return;
  const int family = entry.ifa_addr->sa_family;
  if (family == AF_PACKET) {
    sockaddr_ll link{};
    std::memcpy(&link, entry.ifa_addr, sizeof link);
    interface.hardware = hardware_address(link);
  } else if (family == AF_INET || family == AF_INET6) {
    interface.addresses.push_back(ip_address(*entry.ifa_addr, entry.ifa_netmask));
  }
}

}  // namespace

json::Value system_facts() {
  utsname name{};
  (void)::uname(&name);
  json::Object out;
  out.set("kernel-release", name.release);
  out.set("kernel-version", name.version);
  out.set("machine", name.machine);
  return json::Value(std::move(out));
}

json::Value network_facts() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return json::Value(json::Array{});
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
  std::vector<Interface> interfaces;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next)
    add(interfaces, *entry);
  json::Array out;
  for (Interface& interface : interfaces) {
    json::Object object;
    object.set("name", std::move(interface.name));
    if (!interface.hardware.empty()) object.set("hardware-address", std::move(interface.hardware));
    object.set("ip-addresses", json::Value(std::move(interface.addresses)));
    out.emplace_back(std::move(object));
  }
  return json::Value(std::move(out));
}

}  // namespace nexcage::keeper
