#include "nexcage/helpers/keeper/qga_port.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "nexcage/sys/fs.h"

namespace nexcage::keeper {
namespace {

constexpr std::chrono::seconds kAbsence{1};
constexpr std::string_view kAgentPort = "org.qemu.guest_agent.0";

}  // namespace

Result<QgaPort> QgaPort::create(init::agent::Uevents uevents) {
  UniqueFd events(::epoll_create1(EPOLL_CLOEXEC));
  if (!events) return fail_errno("wait for a port");
  QgaPort port(std::move(uevents), std::move(events));
  port.open();
  return port;
}

void QgaPort::open() {
  const std::string device = init::agent::find_port(kAgentPort);
  if (device.empty()) return;
  auto opened = sys::open_at(AT_FDCWD, device, O_RDWR | O_NONBLOCK);
  if (!opened) return;
  port_ = *std::move(opened);
  // A port without a client is readable and hung up without an end: only what changes is of
  // interest (virtio_console.c wakes its readers when a client comes, goes, sends or takes).
  epoll_event wanted{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {}};
  if (::epoll_ctl(events_.get(), EPOLL_CTL_ADD, port_.get(), &wanted) < 0) port_.reset();
}

void QgaPort::add_to(vm::host::Poller& poller) {
  if (!port_) {
    poller.add(uevents_.fd(), POLLIN, [this](short) -> Result<> {
      uevents_.clear();
      open();
      return {};
    });
    return;
  }
  poller.add(events_.get(), POLLIN, [this](short) -> Result<> {
    epoll_event event{};
    (void)::epoll_wait(events_.get(), &event, 1, 0);
    readable_ = true;
    if (connected()) meet_client();
    write();
    return {};
  });
}

std::optional<vm::qga::Line> QgaPort::next() {
  // A client that does not take its answers is not listened to.
  while (pending_.empty()) {
    if (auto line = lines_.next()) return line;
    if (!readable_) break;
    read();
  }
  return std::nullopt;
}

void QgaPort::read() {
  std::array<char, 32768> buffer;
  const ssize_t n = ::read(port_.get(), buffer.data(), buffer.size());
  if (n > 0) {
    meet_client();
    return lines_.feed(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  }
  if (n < 0 && errno == EINTR) return;
  readable_ = false;
  if (n == 0) miss_client();
}

bool QgaPort::connected() const {
  pollfd port{.fd = port_.get(), .events = 0, .revents = 0};
  return ::poll(&port, 1, 0) == 0;
}

void QgaPort::miss_client() {
  if (!gone_since_) gone_since_ = Clock::now();
}

/// That a client has come may be told after its first bytes have: who was away for a moment only is
/// taken for the same, and has its answer.
void QgaPort::meet_client() {
  if (gone_since_ && Clock::now() - *gone_since_ > kAbsence) {
    // Half a line of one is not the beginning of another's.
    lines_.reset();
    pending_.clear();
    sent_ = 0;
  }
  gone_since_.reset();
}

void QgaPort::send(std::string_view answer) {
  pending_ += answer;
  write();
}

void QgaPort::write() {
  while (sent_ < pending_.size()) {
    const ssize_t n = ::write(port_.get(), pending_.data() + sent_, pending_.size() - sent_);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) {
      sent_ += static_cast<std::size_t>(n);
      continue;
    }
    if (!connected()) miss_client();
    return;
  }
  pending_.clear();
  sent_ = 0;
}

}  // namespace nexcage::keeper
