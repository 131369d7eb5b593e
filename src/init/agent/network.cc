#include "nexcage/init/agent/network.h"

#include <cstdio>

#include "nexcage/init/agent/dhcp.h"
#include "nexcage/sys/link.h"

namespace nexcage::init::agent {
namespace {

std::vector<sys::LinkAddress> addresses_of(const vm::protocol::Interface& interface) {
  std::vector<sys::LinkAddress> out;
  out.reserve(interface.addresses.size());
  for (const sys::plan::Address& address : interface.addresses)
    out.push_back({.family = address.family,
                   .prefix = address.prefix,
                   .local = address.local,
                   .broadcast = address.broadcast});
  return out;
}

Result<> add_route(const std::string& name, const vm::protocol::Route& route) {
  return sys::add_route(name, {.family = route.family,
                               .prefix = route.prefix,
                               .destination = route.destination,
                               .gateway = route.gateway,
                               .source = route.source,
                               .metrics = route.metrics,
                               .priority = route.priority,
                               .on_link = route.on_link});
}

/// The name that the kernel has given to an interface, when it is there.
Result<std::string> appeared(Machine& machine, const vm::protocol::Interface& interface) {
  std::string name;
  NX_CHECK(machine.uevents.until(
      [&] {
        auto found = sys::find_link(interface.mac);
        if (found) name = *found;
        return found.has_value();
      },
      "wait for network device " + interface.name));
  return name;
}

/// Of the interface with this number, while it has lost one name and not got the other.
std::string passing_name(std::size_t number) { return "nxlink" + std::to_string(number); }

}  // namespace

Result<> set_up_network(Machine& machine, const std::vector<vm::protocol::Interface>& interfaces) {
  NX_CHECK(sys::set_up_link("lo", {}));
  if (interfaces.empty()) return {};
  NX_CHECK(machine.modules.need("virtio_net"));
  // The kernel may have given one the name that another one gets.
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    NX_TRY(const std::string name, appeared(machine, interfaces[i]));
    NX_CHECK(sys::change_link(name, passing_name(i), interfaces[i].mtu));
  }
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    NX_CHECK(sys::change_link(passing_name(i), interfaces[i].name, 0));
    NX_CHECK(sys::set_up_link(interfaces[i].name, addresses_of(interfaces[i])));
  }
  // Gateways are reached by the routes on the link.
  for (const bool with_gateway : {false, true})
    for (const vm::protocol::Interface& interface : interfaces)
      for (const vm::protocol::Route& route : interface.routes)
        if (route.gateway.empty() != with_gateway) NX_CHECK(add_route(interface.name, route));
  for (const vm::protocol::Interface& interface : interfaces) {
    if (!interface.dhcp) continue;
    // A container is not held up by a server that is away: the address comes later.
    if (auto done = acquire_address(interface.name, interface.mac); !done)
      std::fprintf(stderr, "nexcage agent: %s\n", done.error().message().c_str());
  }
  return {};
}

}  // namespace nexcage::init::agent
