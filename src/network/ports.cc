#include "nexcage/network/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nexcage/base/unique_fd.h"
#include "nexcage/network/address.h"

namespace nexcage::network {
namespace {

constexpr int kTries = 64;  // for a free port that no container has

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

SocketAddress socket_address(const Port& port) {
  SocketAddress made;
  const Address address = parse_address(port.host_ip).value_or(Address{});
  if (address.family == Address::Family::v6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port.host);
    std::memcpy(&v6.sin6_addr, address.bytes.data(), sizeof v6.sin6_addr);
    std::memcpy(&made.storage, &v6, sizeof v6);
    made.length = sizeof v6;
    return made;
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port.host);
  std::memcpy(&v4.sin_addr, address.bytes.data(), sizeof v4.sin_addr);
  std::memcpy(&made.storage, &v4, sizeof v4);
  made.length = sizeof v4;
  return made;
}

/// A socket bound to the port; it keeps others off it until it is closed.
Result<UniqueFd> bind_port(const Port& port) {
  const SocketAddress address = socket_address(port);
  const int type = port.protocol == Protocol::tcp ? SOCK_STREAM : SOCK_DGRAM;
  UniqueFd socket(::socket(address.storage.ss_family, type | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("open a socket");
  const int yes = 1;
  // Connections that have ended must not count as use of the port.
  if (port.protocol == Protocol::tcp &&
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0)
    return fail_errno("set an option of a socket");
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) ==
      0)
    return socket;
  const std::string what = "publish " + to_string(port);
  if (errno == EADDRINUSE)
    return fail(Errc::InvalidState, what + ": a program of the host uses the port");
  if (errno == EADDRNOTAVAIL)
    return fail(Errc::ConfigError, what + ": the host does not have this address");
  return fail_errno(what);
}

Result<std::uint16_t> bound_port(int socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
    return fail_errno("ask for a socket's port");
  // sin_port and sin6_port lie at the same place.
  sockaddr_in address{};
  std::memcpy(&address, &storage, sizeof address);
  return ntohs(address.sin_port);
}

bool same_host(const Port& a, const Port& b) {
  return a.host_ip == b.host_ip || a.host_ip.empty() || b.host_ip.empty();
}

/// Any free port that leads to no container; the sockets tried stay open so that each try gives
/// another one.
Result<UniqueFd> choose_free(Port& port, const std::vector<Taken>& taken) {
  std::vector<UniqueFd> tried;
  for (int i = 0; i < kTries; ++i) {
    Port any = port;
    NX_TRY(UniqueFd socket, bind_port(any));
    NX_TRY(any.host, bound_port(socket.get()));
    if (find_conflict(any, taken) == nullptr) {
      port = any;
      return socket;
    }
    tried.push_back(std::move(socket));
  }
  return fail(Errc::InvalidState, "publish " + to_string(port) + ": no free port found");
}

}  // namespace

const Taken* find_conflict(const Port& port, const std::vector<Taken>& taken) {
  const auto found = std::ranges::find_if(taken, [&](const Taken& other) {
    return other.port.host == port.host && other.port.protocol == port.protocol &&
           same_host(other.port, port);
  });
  return found != taken.end() ? &*found : nullptr;
}

Result<std::vector<Port>> claim_ports(std::vector<Port> ports, const std::vector<Taken>& taken) {
  std::vector<UniqueFd> held;
  std::vector<Taken> all = taken;
  // The fixed ones first: a free one must not be one of them.
  for (Port& port : ports) {
    if (port.host == 0) continue;
    if (const Taken* other = find_conflict(port, taken))
      return fail(Error(Errc::InvalidState, "publish " + to_string(port) + ": container " +
                                                other->owner + " has the port")
                      .hint("Delete that container, or choose another port."));
    NX_TRY(UniqueFd socket, bind_port(port));
    held.push_back(std::move(socket));
    all.push_back({port, ""});
  }
  for (Port& port : ports) {
    if (port.host != 0) continue;
    NX_TRY(UniqueFd socket, choose_free(port, all));
    held.push_back(std::move(socket));
    all.push_back({port, ""});
  }
  return ports;
}

}  // namespace nexcage::network
