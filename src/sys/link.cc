#include "nexcage/sys/link.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "nexcage/base/unique_fd.h"

namespace nexcage::sys {
namespace {

/// A request as its bytes: header, the family's own struct, attributes.
class Request {
 public:
  template <class Body>
  Request(std::uint16_t type, std::uint16_t flags, const Body& body) {
    const nlmsghdr header{.nlmsg_len = 0,
                          .nlmsg_type = type,
                          .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
                          .nlmsg_seq = 1,
                          .nlmsg_pid = 0};
    append(&header, sizeof header);
    append(&body, sizeof body);
  }
  void attribute(std::uint16_t type, const void* data, std::size_t size) {
    const rtattr header{.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size)), .rta_type = type};
    append(&header, sizeof header);
    append(data, size);
  }
  void attribute(std::uint16_t type, const std::string& data) {
    attribute(type, data.data(), data.size());
  }
  std::string_view finish() {
    const auto size = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof size);
    return bytes_;
  }

 private:
  void append(const void* data, std::size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0');
  }
  std::string bytes_;
};

Result<UniqueFd> open_netlink() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return fail_errno("open a route socket");
  return socket;
}

/// Calls `use` with each message of the answer; done at an acknowledgement, the end of a list, or
/// an error, which is returned.
template <class Use>
Result<> read_answers(int socket, Use use) {
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  for (;;) {
    const ssize_t size = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (size < 0) return fail_errno("read from the route socket");
    auto left = static_cast<unsigned>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type == NLMSG_ERROR) {
        const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(header));
        if (error->error == 0) return {};
        return fail(Error::from_errno(Errc::FileError, -error->error, "route request"));
      }
      use(*header);
    }
  }
}

Result<> ask(Request& request) {
  NX_TRY(UniqueFd socket, open_netlink());
  const std::string_view bytes = request.finish();
  if (::send(socket.get(), bytes.data(), bytes.size(), 0) < 0)
    return fail_errno("write to the route socket");
  return read_answers(socket.get(), [](const nlmsghdr&) {});
}

Result<int> index_of(const std::string& name) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return fail_errno("find network device " + name);
  return static_cast<int>(index);
}

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
                   .rtm_flags = 0};
  Request request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body);
  if (route.prefix != 0) request.attribute(RTA_DST, route.destination);
  if (!route.gateway.empty()) request.attribute(RTA_GATEWAY, route.gateway);
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
