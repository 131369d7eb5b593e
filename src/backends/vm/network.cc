#include "nexcage/backends/vm/network.h"

#include <arpa/inet.h>
#include <fcntl.h>

#include <array>
#include <cstdio>

#include "nexcage/base/testpoint.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/netns.h"
#include "nexcage/sys/tap.h"
#include "nexcage/vm/host/forward.h"
#include "nexcage/vm/qemu/machine.h"

namespace nexcage::backends::vm {
namespace {

std::string text_of(const std::string& address) {
  std::array<char, 18> out{};
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(address[i]));
  };
  (void)std::snprintf(out.data(), out.size(), "%02x:%02x:%02x:%02x:%02x:%02x", byte(0), byte(1),
                      byte(2), byte(3), byte(4), byte(5));
  return out.data();
}

Result<nexcage::vm::protocol::Interface> interface_of(const sys::Link& link) {
  nexcage::vm::protocol::Interface out;
  out.mac = link.address;
  out.name = link.name;
  out.mtu = link.mtu;
  NX_TRY(const auto addresses, sys::link_addresses(link.name));
  for (const sys::LinkAddress& address : addresses)
    out.addresses.push_back({.family = address.family,
                             .prefix = address.prefix,
                             .local = address.local,
                             .broadcast = address.broadcast});
  NX_TRY(const auto routes, sys::link_routes(link.name));
  for (const sys::LinkRoute& route : routes)
    out.routes.push_back({.family = route.family,
                          .prefix = route.prefix,
                          .destination = route.destination,
                          .gateway = route.gateway,
                          .source = route.source,
                          .metrics = route.metrics,
                          .priority = route.priority,
                          .on_link = route.on_link});
  return out;
}

std::string tap_name(std::size_t number) { return "nxtap" + std::to_string(number); }

/// All packets of the namespace's interfaces become the guest's: it must not be ours, whose they
/// are then no more.
Result<UniqueFd> open_namespace(const std::string& path) {
  NX_TRY(UniqueFd there, sys::open_at(AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK));
  NX_TRY(const sys::NetworkId wanted, sys::network_id(there.get()));
  NX_TRY(const sys::NetworkId own, sys::own_network_id());
  if (wanted == own)
    return fail(Errc::Unsupported, path + ": the host's network: a virtual machine has its own");
  return there;
}

}  // namespace

Result<GuestNetwork> connect_guest(const std::string& path, UndoLog& undo) {
  GuestNetwork out;
  if (path.empty()) return out;
  NX_TRY(out.network_namespace, open_namespace(path), "linux.namespaces");
  NX_TRY(const sys::NetworkId id, sys::network_id(out.network_namespace.get()));
  NX_TRY(const sys::NetworkVisit visit, sys::NetworkVisit::enter(out.network_namespace.get()),
         path);
  NX_TRY(const bool used, sys::has_link(tap_name(0)));
  if (used)
    return fail(Errc::Unsupported,
                "linux.namespaces: " + path + ": another virtual machine has this network already");
  NX_TRY(const auto links, sys::ethernet_links());
  for (const sys::Link& link : links) {
    NX_TRY(auto interface, interface_of(link), "network of the machine");
    const std::string name = tap_name(out.taps.size());
    out.redirections.push_back(
        {.network_path = path, .network = id, .interface = link.name, .tap = tap_name(0)});
    NX_CHECK(undo.will_redirect(out.redirections.back()));
    NX_TRY(UniqueFd tap, sys::make_tap(name, link.mtu), "network of the machine");
    out.taps.push_back({.fd = std::move(tap), .mac = text_of(link.address)});
    NX_CHECK(sys::redirect_packets(link.name, name), "network of the machine");
    NX_CHECK(sys::redirect_packets(name, link.name), "network of the machine");
    out.interfaces.push_back(std::move(interface));
  }
  testpoint("vm-network-connected");
  return out;
}

Result<GuestNetwork> publish_guest(const UserNetwork& wanted) {
  // In a namespace of the helper's own every port is free.
  constexpr std::uint16_t kFirstOuter = 20'000;
  constexpr std::uint8_t kPrefix = 24;
  // Locally administered; there is nobody else in this network.
  const std::string mac("\x02\x6e\x78\x00\x00\x01", 6);
  GuestNetwork out;
  out.user_mac = text_of(mac);
  for (const UserNetwork::Port& port : wanted.ports) {
    NX_TRY(UniqueFd listener, nexcage::vm::host::listen_tcp(port.address, port.port));
    const auto outer = static_cast<std::uint16_t>(kFirstOuter + out.forwards.size());
    out.forwards.push_back({.listener = std::move(listener), .outer = outer, .inner = port.inner});
  }
  in_addr address{};
  (void)::inet_pton(AF_INET, std::string(nexcage::vm::qemu::kUserAddress).c_str(), &address);
  out.interfaces.push_back(
      {.mac = mac,
       .name = "eth0",
       .mtu = 0,
       .addresses = {{.family = AF_INET,
                      .prefix = kPrefix,
                      .local = std::string(reinterpret_cast<const char*>(&address), sizeof address),
                      .broadcast = {}}},
       .routes = {}});
  return out;
}

}  // namespace nexcage::backends::vm
