#include "nexcage/sys/link.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>

#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/netlink.h"

namespace nexcage::sys {

using netlink::ask;
using netlink::index_of;
using netlink::open_netlink;
using netlink::read_answers;
using netlink::Request;

namespace {

void take_address(const nlmsghdr& message, int index, std::vector<LinkAddress>& out) {
  const auto* body = static_cast<const ifaddrmsg*>(NLMSG_DATA(&message));
  if (message.nlmsg_type != RTM_NEWADDR || static_cast<int>(body->ifa_index) != index ||
      body->ifa_scope != RT_SCOPE_UNIVERSE || (body->ifa_flags & IFA_F_PERMANENT) == 0)
    return;
  LinkAddress address{
      .family = body->ifa_family, .prefix = body->ifa_prefixlen, .local = {}, .broadcast = {}};
  std::string peer;
  auto left = static_cast<unsigned>(IFA_PAYLOAD(&message));
  for (auto* attribute = IFA_RTA(body); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    const std::string data(static_cast<const char*>(RTA_DATA(attribute)), RTA_PAYLOAD(attribute));
    if (attribute->rta_type == IFA_LOCAL) address.local = data;
    if (attribute->rta_type == IFA_ADDRESS) peer = data;
    if (attribute->rta_type == IFA_BROADCAST) address.broadcast = data;
  }
  if (address.local.empty()) address.local = peer;  // IPv6 has only IFA_ADDRESS
  out.push_back(std::move(address));
}

Result<> add_address(int index, const LinkAddress& address) {
  const ifaddrmsg body{.ifa_family = address.family,
                       .ifa_prefixlen = address.prefix,
                       .ifa_flags = 0,
                       .ifa_scope = RT_SCOPE_UNIVERSE,
                       .ifa_index = static_cast<std::uint32_t>(index)};
  Request request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body);
  request.attribute(IFA_LOCAL, address.local);
  request.attribute(IFA_ADDRESS, address.local);
  if (!address.broadcast.empty()) request.attribute(IFA_BROADCAST, address.broadcast);
  return ask(request);
}

}  // namespace

Result<std::vector<LinkAddress>> link_addresses(const std::string& name) {
  NX_TRY(const int index, index_of(name));
  NX_TRY(UniqueFd socket, open_netlink());
  Request request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
  const std::string_view bytes = request.finish();
  if (::send(socket.get(), bytes.data(), bytes.size(), 0) < 0)
    return fail_errno("write to the route socket");
  std::vector<LinkAddress> out;
  NX_CHECK(read_answers(socket.get(),
                        [&](const nlmsghdr& message) { take_address(message, index, out); }),
           "addresses of network device " + name);
  return out;
}

Result<> move_link(const std::string& name, int network_namespace, const std::string& new_name) {
  NX_TRY(const int index, index_of(name));
  ifinfomsg body{};
  body.ifi_index = index;
  Request request(RTM_NEWLINK, NLM_F_ACK, body);
  request.attribute(IFLA_NET_NS_FD, &network_namespace, sizeof network_namespace);
  request.attribute(IFLA_IFNAME, new_name.c_str(), new_name.size() + 1);
  NX_CHECK(ask(request), "move network device " + name + " into the container as " + new_name);
  return {};
}

Result<> set_up_link(const std::string& name, const std::vector<LinkAddress>& addresses) {
  NX_TRY(const int index, index_of(name));
  for (const LinkAddress& address : addresses)
    NX_CHECK(add_address(index, address), "add an address to network device " + name);
  ifinfomsg body{};
  body.ifi_index = index;
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  Request request(RTM_NEWLINK, NLM_F_ACK, body);
  NX_CHECK(ask(request), "set up network device " + name);
  return {};
}

Result<> add_route(const std::string& name, const LinkRoute& route) {
  NX_TRY(const int index, index_of(name));
  const rtmsg body{.rtm_family = route.family,
                   .rtm_dst_len = route.prefix,
                   .rtm_src_len = 0,
                   .rtm_tos = 0,
                   .rtm_table = RT_TABLE_MAIN,
                   .rtm_protocol = RTPROT_STATIC,
                   .rtm_scope = static_cast<unsigned char>(
                       route.gateway.empty() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE),
                   .rtm_type = RTN_UNICAST,
                   .rtm_flags = route.on_link ? unsigned{RTNH_F_ONLINK} : 0U};
  Request request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body);
  if (route.prefix != 0) request.attribute(RTA_DST, route.destination);
  if (!route.gateway.empty()) request.attribute(RTA_GATEWAY, route.gateway);
  if (!route.source.empty()) request.attribute(RTA_PREFSRC, route.source);
  if (!route.metrics.empty()) request.attribute(RTA_METRICS, route.metrics);
  if (route.priority != 0) request.attribute(RTA_PRIORITY, &route.priority, sizeof route.priority);
  request.attribute(RTA_OIF, &index, sizeof index);
  NX_CHECK(ask(request), "add a route through network device " + name);
  return {};
}

Result<std::string> find_link(const std::string& address) {
  NX_TRY(UniqueFd socket, open_netlink());
  Request request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
  const std::string_view bytes = request.finish();
  if (::send(socket.get(), bytes.data(), bytes.size(), 0) < 0)
    return fail_errno("write to the route socket");
  std::string found;
  NX_CHECK(read_answers(socket.get(),
                        [&](const nlmsghdr& message) {
                          const auto* body = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
                          std::string name, hardware;
                          auto left = static_cast<unsigned>(IFLA_PAYLOAD(&message));
                          for (auto* attribute = IFLA_RTA(body); RTA_OK(attribute, left);
                               attribute = RTA_NEXT(attribute, left)) {
                            const std::string data(static_cast<const char*>(RTA_DATA(attribute)),
                                                   RTA_PAYLOAD(attribute));
                            if (attribute->rta_type == IFLA_IFNAME) name = data.c_str();
                            if (attribute->rta_type == IFLA_ADDRESS) hardware = data;
                          }
                          if (hardware == address) found = name;
                        }),
           "list the network devices");
  if (found.empty()) return fail_errno(ENODEV, "find a network device by its address");
  return found;
}

Result<> change_link(const std::string& name, const std::string& new_name, std::uint32_t mtu) {
  NX_TRY(const int index, index_of(name));
  ifinfomsg body{};
  body.ifi_index = index;
  Request request(RTM_NEWLINK, NLM_F_ACK, body);
  if (name != new_name) request.attribute(IFLA_IFNAME, new_name.c_str(), new_name.size() + 1);
  if (mtu != 0) request.attribute(IFLA_MTU, &mtu, sizeof mtu);
  NX_CHECK(ask(request), "change network device " + name);
  return {};
}

}  // namespace nexcage::sys
