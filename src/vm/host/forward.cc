#include "nexcage/vm/host/forward.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::vm::host {
namespace {

constexpr std::size_t kMostConnections = 512;
constexpr std::size_t kMostBuffered = 128u << 10;
constexpr std::size_t kPortion = 64u << 10;
constexpr int kBacklog = 128;
constexpr std::chrono::seconds kRest(1);
/// Seconds of silence before whoever connected is asked whether he is there, and between questions.
constexpr int kKeepIdle = 60, kKeepInterval = 15;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

Result<SocketAddress> socket_address(const std::string& address, std::uint16_t port) {
  SocketAddress out;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  if (address.empty() || ::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
    out.length = sizeof v4;
    std::memcpy(&out.storage, &v4, sizeof v4);
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
    out.length = sizeof v6;
    std::memcpy(&out.storage, &v6, sizeof v6);
  } else {
    return fail(Errc::InvalidSpec, quote(address) + " is no address");
  }
  return out;
}

/// To a port of our own namespace; the connection may still be on its way.
UniqueFd connect_inside(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return socket;
  const int made =
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (made != 0 && errno != EINPROGRESS) return {};
  return socket;
}

/// Who vanishes without a word would keep his place for ever.
void keep_alive(int socket) {
  const int yes = 1;
  (void)::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepIdle, sizeof kKeepIdle);
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepInterval, sizeof kKeepInterval);
}

}  // namespace

Result<UniqueFd> listen_tcp(const std::string& address, std::uint16_t port) {
  NX_TRY(const SocketAddress where, socket_address(address, port));
  UniqueFd socket(::socket(where.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("open a socket");
  const int yes = 1;
  // Connections that have ended must not count as use of the port.
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0)
    return fail_errno("set an option of a socket");
  const std::string what = "publish port " + std::to_string(port);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where.storage), where.length) != 0) {
    if (errno == EADDRINUSE)
      return fail(Errc::InvalidState, what + ": a program of the host uses it");
    if (errno == EADDRNOTAVAIL)
      return fail(Errc::ConfigError, what + ": the host does not have the address " + address);
    return fail_errno(what);
  }
  if (::listen(socket.get(), kBacklog) != 0) return fail_errno(what);
  return socket;
}

Forwarder::Forwarder(const std::vector<Forward>& forwards) {
  for (const Forward& one : forwards)
    listeners_.push_back({.socket = UniqueFd(one.listener), .outer = one.outer});
}

void Forwarder::add_to(Poller& poller) {
  std::erase_if(connections_, [](const auto& connection) { return connection->done(); });
  const bool resting = Poller::Clock::now() < rest_until_;
  if (resting) poller.until(rest_until_);
  // Who cannot be taken waits in the queue; poll(2) would tell of him again and again.
  if (connections_.size() < kMostConnections && !resting)
    for (const Listener& listener : listeners_)
      poller.add(listener.socket.get(), POLLIN, [this, &listener](short) -> Result<> {
        accept(listener);
        return {};
      });
  for (const auto& connection : connections_) watch(poller, connection);
}

void Forwarder::accept(const Listener& listener) {
  UniqueFd outside(
      ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!outside) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
      rest_until_ = Poller::Clock::now() + kRest;
    return;
  }
  UniqueFd inside = connect_inside(listener.outer);
  if (!inside) return;  // who connected sees the end
  const int yes = 1;
  for (const int socket : {outside.get(), inside.get()})
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  keep_alive(outside.get());
  auto connection = std::make_shared<Connection>();
  connection->inward = {.from = outside.get(), .to = inside.get()};
  connection->outward = {.from = inside.get(), .to = outside.get()};
  connection->outside = std::move(outside);
  connection->inside = std::move(inside);
  connections_.push_back(std::move(connection));
}

void Forwarder::watch(Poller& poller, const std::shared_ptr<Connection>& connection) {
  const auto add = [&](int fd, Pipe Connection::* reads, Pipe Connection::* writes) {
    const Pipe& from = (*connection).*reads;
    const Pipe& to = (*connection).*writes;
    const bool reading = !from.ended && from.buffer.size() < kMostBuffered;
    const bool writing = !to.closed && (!to.buffer.empty() || to.ended);
    // One that we have shut down, too, hangs up in good order, and poll(2) says so every time.
    if (!reading && !writing && to.closed) return;
    const auto events = static_cast<short>((reading ? POLLIN : 0) | (writing ? POLLOUT : 0));
    poller.add(fd, events, [connection, reads, writes, reading, writing](short seen) -> Result<> {
      // Who reads is told by that, after what came before.
      if (!reading && (seen & (POLLERR | POLLHUP)) != 0) connection->broken = true;
      if (connection->broken) return {};
      if (reading) read((*connection).*reads, *connection);
      if (writing) write((*connection).*writes, *connection);
      return {};
    });
  };
  add(connection->outside.get(), &Connection::inward, &Connection::outward);
  add(connection->inside.get(), &Connection::outward, &Connection::inward);
}

void Forwarder::read(Pipe& pipe, Connection& connection) {
  std::array<char, kPortion> part;
  const ssize_t n = ::recv(pipe.from, part.data(), part.size(), MSG_DONTWAIT);
  if (n > 0) {
    pipe.buffer.append(part.data(), static_cast<std::size_t>(n));
    return write(pipe, connection);
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) {
    connection.broken = true;
    return;
  }
  pipe.ended = true;
  write(pipe, connection);
}

void Forwarder::write(Pipe& pipe, Connection& connection) {
  while (!pipe.buffer.empty()) {
    const ssize_t n =
        ::send(pipe.to, pipe.buffer.data(), pipe.buffer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    // Not through yet to the guest (ENOTCONN while it connects is EAGAIN with poll(2)'s word).
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) return;
    if (n < 0) {
      connection.broken = true;
      return;
    }
    pipe.buffer.erase(0, static_cast<std::size_t>(n));
  }
  if (!pipe.ended || pipe.closed) return;
  if (::shutdown(pipe.to, SHUT_WR) != 0 && errno == ENOTCONN) return;
  pipe.closed = true;
}

}  // namespace nexcage::vm::host
