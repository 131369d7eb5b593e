#include "nexcage/sys/tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/netlink.h"

namespace nexcage::sys {
namespace {

using netlink::Attributes;
using netlink::Request;

template <class Body, class Use>
Result<> dump(std::uint16_t type, const Body& body, Use use) {
  NX_TRY(const UniqueFd socket, netlink::open_netlink());
  Request request(type, NLM_F_DUMP, body);
  const std::string_view bytes = request.finish();
  if (::send(socket.get(), bytes.data(), bytes.size(), 0) < 0)
    return fail_errno("write to the route socket");
  return netlink::read_answers(socket.get(), use);
}

/// The attribute of this type among nested ones, as a text that a zero byte may end.
std::string nested_text(const std::string& nested, unsigned short type) {
  for (std::size_t at = 0; at + sizeof(rtattr) <= nested.size();) {
    rtattr header{};
    std::memcpy(&header, nested.data() + at, sizeof header);
    if (header.rta_len < sizeof header || header.rta_len > nested.size() - at) break;
    if (header.rta_type == type)
      return nested.substr(at + sizeof header, header.rta_len - sizeof header).c_str();
    at += RTA_ALIGN(header.rta_len);
  }
  return {};
}

void take_link(const nlmsghdr& message, std::vector<Link>& out) {
  const auto* body = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
  if (body->ifi_type != ARPHRD_ETHER || (body->ifi_flags & IFF_UP) == 0) return;
  Link link;
  auto left = static_cast<unsigned>(IFLA_PAYLOAD(&message));
  for (auto* attribute = IFLA_RTA(body); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    const std::string data(static_cast<const char*>(RTA_DATA(attribute)), RTA_PAYLOAD(attribute));
    if (attribute->rta_type == IFLA_IFNAME) link.name = data.c_str();
    if (attribute->rta_type == IFLA_ADDRESS) link.address = data;
    if (attribute->rta_type == IFLA_MTU && data.size() == sizeof link.mtu)
      std::memcpy(&link.mtu, data.data(), sizeof link.mtu);
    if (attribute->rta_type == IFLA_LINKINFO) link.kind = nested_text(data, IFLA_INFO_KIND);
  }
  if (link.address.size() == ETH_ALEN && link.kind != "tun") out.push_back(std::move(link));
}

struct Routes {
  std::vector<LinkRoute> found;
  std::string refused;  // what one of the table is that LinkRoute cannot say
};

/// What of the table is somebody's doing, and not the kernel's own.
bool is_configured(const rtmsg& body) {
  return body.rtm_table == RT_TABLE_MAIN && body.rtm_protocol != RTPROT_KERNEL &&
         body.rtm_protocol != RTPROT_RA && (body.rtm_flags & RTM_F_CLONED) == 0;
}

void take_route(const nlmsghdr& message, int index, Routes& out) {
  const auto* body = static_cast<const rtmsg*>(NLMSG_DATA(&message));
  if (!is_configured(*body)) return;
  LinkRoute route{.family = body->rtm_family,
                  .prefix = body->rtm_dst_len,
                  .destination = {},
                  .gateway = {},
                  .on_link = (body->rtm_flags & RTNH_F_ONLINK) != 0};
  int through = 0;
  const auto number = [](const std::string& data, auto& value) {
    if (data.size() == sizeof value) std::memcpy(&value, data.data(), sizeof value);
  };
  auto left = static_cast<unsigned>(RTM_PAYLOAD(&message));
  for (auto* attribute = RTM_RTA(body); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    const std::string data(static_cast<const char*>(RTA_DATA(attribute)), RTA_PAYLOAD(attribute));
    if (attribute->rta_type == RTA_DST) route.destination = data;
    if (attribute->rta_type == RTA_GATEWAY) route.gateway = data;
    if (attribute->rta_type == RTA_PREFSRC) route.source = data;
    if (attribute->rta_type == RTA_METRICS) route.metrics = data;
    if (attribute->rta_type == RTA_PRIORITY) number(data, route.priority);
    if (attribute->rta_type == RTA_OIF) number(data, through);
    if (attribute->rta_type == RTA_MULTIPATH) out.refused = "several next hops";
    if (attribute->rta_type == RTA_NH_ID) out.refused = "a next hop object";
    if (attribute->rta_type == RTA_VIA) out.refused = "a next hop of another family";
    if (attribute->rta_type == RTA_ENCAP) out.refused = "an encapsulation";
  }
  if (body->rtm_type != RTN_UNICAST) out.refused = "another type than unicast";
  if (body->rtm_tos != 0 || body->rtm_src_len != 0) out.refused = "a source or a type of service";
  if (through == index) out.found.push_back(std::move(route));
}

constexpr std::uint32_t kIngress = 0xffff0000;
/// Of our filters, to know them by ("NX").
constexpr std::uint32_t kPriority = 0x4e58;

struct Filters {
  bool ours = false, others = false;
};
Result<Filters> ingress_filters(int index) {
  tcmsg body{};
  body.tcm_ifindex = index;
  body.tcm_parent = kIngress;
  Filters out;
  NX_CHECK(dump(RTM_GETTFILTER, body, [&](const nlmsghdr& message) {
    const auto* found = static_cast<const tcmsg*>(NLMSG_DATA(&message));
    (TC_H_MAJ(found->tcm_info) >> 16 == kPriority ? out.ours : out.others) = true;
  }));
  return out;
}

/// With the queue its filters go.
Result<> remove_ours(const std::string& name, const Filters& there) {
  if (!there.ours || there.others) return {};
  NX_TRY(const int index, netlink::index_of(name));
  tcmsg body{};
  body.tcm_ifindex = index;
  body.tcm_parent = TC_H_INGRESS;
  body.tcm_handle = kIngress;
  Request request(RTM_DELQDISC, NLM_F_ACK, body);
  NX_CHECK(netlink::ask(request), "remove the ingress queue of network device " + name);
  return {};
}

Result<> add_ingress(const std::string& name) {
  NX_TRY(const int index, netlink::index_of(name));
  tcmsg body{};
  body.tcm_ifindex = index;
  body.tcm_parent = TC_H_INGRESS;
  body.tcm_handle = kIngress;
  Request request(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body);
  constexpr std::string_view kKind("ingress", sizeof "ingress");
  request.attribute(TCA_KIND, kKind.data(), kKind.size());
  auto done = netlink::ask(request);
  if (!done && done.error().sys_errno() != EEXIST)
    return fail(std::move(done).error().wrap("ingress queue of network device " + name));
  return {};
}

/// A selector with one key, that fits every packet: the struct and, behind it, the key.
std::string selector_of_all() {
  tc_u32_sel head{};
  head.flags = TC_U32_TERMINAL;
  head.nkeys = 1;
  std::string out(reinterpret_cast<const char*>(&head), sizeof head);
  return out.append(sizeof(tc_u32_key), '\0');
}

}  // namespace

Result<std::vector<Link>> ethernet_links() {
  std::vector<Link> out;
  NX_CHECK(
      dump(RTM_GETLINK, ifinfomsg{}, [&](const nlmsghdr& message) { take_link(message, out); }),
      "list the network devices");
  return out;
}

Result<std::vector<LinkRoute>> link_routes(const std::string& name) {
  NX_TRY(const int index, netlink::index_of(name));
  Routes out;
  for (const int family : {AF_INET, AF_INET6}) {
    rtmsg body{};
    body.rtm_family = static_cast<unsigned char>(family);
    NX_CHECK(
        dump(RTM_GETROUTE, body, [&](const nlmsghdr& message) { take_route(message, index, out); }),
        "routes through network device " + name);
  }
  if (!out.refused.empty())
    return fail(Errc::Unsupported, "a route of the network namespace has " + out.refused);
  return std::move(out.found);
}

Result<UniqueFd> make_tap(const std::string& name, std::uint32_t mtu) {
  auto tap = open_at(AT_FDCWD, "/dev/net/tun", O_RDWR);
  if (!tap)
    return fail(
        std::move(tap).error().as(Errc::RuntimeNotAvailable).hint("load the kernel module tun"));
  ifreq wanted{};
  wanted.ifr_flags = IFF_TAP | IFF_NO_PI;
  name.copy(wanted.ifr_name, sizeof wanted.ifr_name - 1);
  if (::ioctl(tap->get(), TUNSETIFF, &wanted) != 0) return fail_errno("make tap device " + name);
  NX_CHECK(change_link(name, name, mtu));
  NX_CHECK(set_up_link(name, {}));
  return std::move(*tap);
}

Result<> redirect_packets(const std::string& from, const std::string& to) {
  NX_TRY(const int index, netlink::index_of(from));
  NX_TRY(const int target, netlink::index_of(to));
  NX_TRY(const Filters there, ingress_filters(index), "packet filters of " + from);
  if (there.others)
    return fail(Errc::InvalidConfig, "network device " + from + " has packet filters of its own");
  NX_CHECK(remove_ours(from, there));
  NX_CHECK(add_ingress(from));
  tcmsg body{};
  body.tcm_ifindex = index;
  body.tcm_parent = kIngress;
  body.tcm_info = TC_H_MAKE(kPriority << 16, htons(ETH_P_ALL));
  Request request(RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body);
  constexpr std::string_view kKind("u32", sizeof "u32");
  request.attribute(TCA_KIND, kKind.data(), kKind.size());
  tc_mirred redirect{};
  redirect.action = TC_ACT_STOLEN;
  redirect.eaction = TCA_EGRESS_REDIR;
  redirect.ifindex = static_cast<std::uint32_t>(target);
  Attributes action;
  action.name(TCA_ACT_KIND, "mirred");
  action.add(TCA_ACT_OPTIONS, Attributes().add(TCA_MIRRED_PARMS, &redirect, sizeof redirect));
  const std::string selector = selector_of_all();
  Attributes options;
  options.add(TCA_U32_SEL, selector.data(), selector.size());
  options.add(TCA_U32_ACT, Attributes().add(1, action));
  request.attribute(TCA_OPTIONS, options);
  NX_CHECK(netlink::ask(request), "pass packets of " + from + " on to " + to);
  return {};
}

Result<bool> has_link(const std::string& name) {
  if (::if_nametoindex(name.c_str()) != 0) return true;
  if (errno == ENODEV || errno == ENXIO) return false;
  return fail_errno("find network device " + name);
}

Result<> stop_redirecting(const std::string& from) {
  NX_TRY(const bool there, has_link(from));
  if (!there) return {};
  NX_TRY(const int index, netlink::index_of(from));
  NX_TRY(const Filters filters, ingress_filters(index), "packet filters of " + from);
  return remove_ours(from, filters);
}

// The path is last: it may have spaces in it.
std::string to_text(const Redirection& redirection) {
  return std::to_string(redirection.network.device) + " " +
         std::to_string(redirection.network.inode) + " " + redirection.interface + " " +
         redirection.tap + " " + redirection.network_path;
}

std::optional<Redirection> redirection_from(std::string_view text) {
  std::array<std::string, 4> words;
  for (std::string& word : words) {
    const std::size_t end = text.find(' ');
    if (end == std::string_view::npos || end == 0) return std::nullopt;
    word = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  const auto device = parse_u64(words[0]), inode = parse_u64(words[1]);
  if (!device || !inode || !text.starts_with('/')) return std::nullopt;
  return Redirection{.network_path = std::string(text),
                     .network = {.device = *device, .inode = *inode},
                     .interface = words[2],
                     .tap = words[3]};
}

Result<> end_redirection(const Redirection& redirection) {
  const std::string& path = redirection.network_path;
  const auto there = open_at(AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (!there && (there.error().sys_errno() == ENOENT || there.error().sys_errno() == ESRCH))
    return {};
  if (!there) return fail(there.error());
  NX_TRY(const NetworkId found, network_id(there->get()));
  if (found != redirection.network) return {};
  NX_TRY(const NetworkVisit visit, NetworkVisit::enter(there->get()), path);
  NX_TRY(const bool used, has_link(redirection.tap));
  if (used) return {};
  return stop_redirecting(redirection.interface);
}

}  // namespace nexcage::sys
