#include "nexcage/init/agent/dhcp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <thread>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/link.h"
#include "nexcage/vm/dhcp/message.h"

namespace nexcage::init::agent {
namespace {

namespace dhcp = nexcage::vm::dhcp;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kFirstLimit{20};  // a bridge that has just got the machine's port may still learn
constexpr milliseconds kFirstWait{500}, kMostWait{4000};
constexpr seconds kBetweenTries{60};
// Behind routes that were given; no two interfaces have the same.
constexpr std::uint32_t kPriority = 1024;

class Client {
 public:
  Client(std::string name, std::string mac) : name_(std::move(name)), mac_(std::move(mac)) {}
  /// A lease, and its settings made.
  Result<> acquire(seconds limit);
  [[noreturn]] void keep();

 private:
  Result<dhcp::Reply> obtain(Clock::time_point end);
  Result<dhcp::Reply> ask(const dhcp::Request& request, Clock::time_point end) const;
  Result<> apply(const dhcp::Reply& reply);
  dhcp::Request request_of(dhcp::Kind kind) const;

  std::string name_, mac_;
  void hold(const dhcp::Reply& reply) {
    lease_ = reply;
    ends_ = Clock::now() + seconds(reply.seconds);
  }
  std::optional<dhcp::Reply> lease_;
  Clock::time_point ends_;  // of the lease
};

Result<UniqueFd> open_socket(const std::string& name) {
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("open a socket");
  const int on = 1;
  // The device takes the place of the address that there is not yet.
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on) < 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, name.c_str(),
                   static_cast<socklen_t>(name.size())) < 0)
    return fail_errno("set up a socket on " + name);
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_port = htons(dhcp::kClientPort);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) < 0)
    return fail_errno("listen for DHCP on " + name);
  return fd;
}

Result<> send_to_all(int fd, const std::string& bytes) {
  sockaddr_in all{};
  all.sin_family = AF_INET;
  all.sin_port = htons(dhcp::kServerPort);
  all.sin_addr.s_addr = htonl(INADDR_BROADCAST);
  if (::sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&all),
               sizeof all) < 0)
    return fail_errno("ask for an address");
  return {};
}

/// The first answer before `end`.
std::optional<dhcp::Reply> await(int fd, const dhcp::Request& asked, Clock::time_point end) {
  std::array<char, dhcp::kMaxMessage> buffer;
  while (true) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0)
      return std::nullopt;
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n <= 0) continue;
    auto reply = dhcp::decode(std::string_view(buffer.data(), static_cast<std::size_t>(n)), asked);
    if (reply) return reply;
  }
}

std::string host_name() {
  std::array<char, 64> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : std::string();
}

dhcp::Request Client::request_of(dhcp::Kind kind) const {
  dhcp::Request request;
  request.kind = kind;
  request.mac = mac_;
  const std::string host = host_name();
  if (host != "(none)" && host != "localhost") request.host_name = host;
  // Zero serves as well: the hardware address is compared, too.
  if (::getrandom(&request.transaction, sizeof request.transaction, 0) < 0) request.transaction = 0;
  return request;
}

/// Asked again, with longer and longer pauses, until there is an answer.
Result<dhcp::Reply> Client::ask(const dhcp::Request& request, Clock::time_point end) const {
  NX_TRY(const UniqueFd fd, open_socket(name_));
  for (milliseconds wait = kFirstWait; Clock::now() < end; wait = std::min(wait * 2, kMostWait)) {
    NX_CHECK(send_to_all(fd.get(), dhcp::encode(request)));
    if (auto reply = await(fd.get(), request, std::min(end, Clock::now() + wait)))
      return *std::move(reply);
  }
  return fail(Errc::Timeout, "no DHCP server answers on " + name_);
}

Result<dhcp::Reply> Client::obtain(Clock::time_point end) {
  if (lease_) {
    dhcp::Request renewal = request_of(dhcp::Kind::request);
    renewal.own = lease_->address;
    auto reply = ask(renewal, end);
    if (!reply || reply->kind == dhcp::Kind::ack) return reply;
    lease_.reset();  // refused: from the beginning
  }
  NX_TRY(const dhcp::Reply offer, ask(request_of(dhcp::Kind::discover), end));
  dhcp::Request request = request_of(dhcp::Kind::request);
  request.wanted = offer.address;
  request.server = offer.server;
  NX_TRY(dhcp::Reply reply, ask(request, end));
  if (reply.kind == dhcp::Kind::ack) return reply;
  return fail(Errc::RuntimeError, "the DHCP server takes its offer back on " + name_);
}

Result<> Client::apply(const dhcp::Reply& reply) {
  const bool is_new = !lease_ || lease_->address != reply.address;
  if (!is_new) {
    hold(reply);
    return {};
  }
  NX_CHECK(sys::set_up_link(
      name_,
      {{.family = AF_INET, .prefix = reply.prefix, .local = reply.address, .broadcast = {}}}));
  if (!reply.gateway.empty())
    NX_CHECK(sys::add_route(name_, {.family = AF_INET,
                                    .prefix = 0,
                                    .destination = std::string(4, '\0'),
                                    .gateway = reply.gateway,
                                    .source = {},
                                    .metrics = {},
                                    .priority = kPriority + ::if_nametoindex(name_.c_str()),
                                    .on_link = reply.prefix == 32}));
  const std::string names = dhcp::resolv_conf(reply);
  if (!names.empty()) NX_CHECK(sys::write_file_atomic(kResolvConf, names, 0644, sys::Durable::no));
  hold(reply);
  return {};
}

Result<> Client::acquire(seconds limit) {
  NX_TRY(const dhcp::Reply reply, obtain(Clock::now() + limit));
  return apply(reply);
}

void Client::keep() {
  while (true) {
    // Half of the time that is left, and not less than a minute (RFC 2131, 4.4.5).
    const auto left = std::chrono::duration_cast<seconds>(ends_ - Clock::now());
    std::this_thread::sleep_for(lease_ ? std::max(left / 2, kBetweenTries) : kBetweenTries);
    (void)acquire(kBetweenTries);
  }
}

}  // namespace

Result<> acquire_address(const std::string& name, const std::string& mac) {
  Client client(name, mac);
  auto done = client.acquire(kFirstLimit);
  const pid_t keeper = ::fork();
  if (keeper < 0) return fail_errno("fork");
  if (keeper == 0) client.keep();
  return done;
}

}  // namespace nexcage::init::agent
