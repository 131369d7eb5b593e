#include "nexcage/vm/qemu/qmp.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "nexcage/base/text.h"

namespace nexcage::vm::qemu {
namespace {

using Clock = std::chrono::steady_clock;

/// No message that we ask for is nearly as long.
constexpr std::size_t kMaxLine = 1u << 20;

Result<> wait_readable(int fd, Clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready > 0) return {};
    if (ready == 0) return fail(Errc::Timeout, "QEMU's monitor does not answer");
    if (errno != EINTR) return fail_errno("wait for QEMU's monitor");
  }
}

Result<> send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("send to QEMU's monitor");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<json::Value> Qmp::receive(Clock::time_point until) {
  for (;;) {
    if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
      auto value = json::parse(std::string_view(buffer_).substr(0, end));
      buffer_.erase(0, end + 1);
      if (!value)
        return fail(std::move(value).error().as(Errc::RuntimeError).wrap("QEMU's monitor"));
      return value;
    }
    if (buffer_.size() > kMaxLine)
      return fail(Errc::RuntimeError, "a message of QEMU's monitor is too long");
    NX_CHECK(wait_readable(socket_.get(), until));
    std::array<char, 4096> part;
    const ssize_t n = ::recv(socket_.get(), part.data(), part.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read from QEMU's monitor");
    if (n == 0) return fail(Errc::RuntimeError, "QEMU has ended");
    buffer_.append(part.data(), static_cast<std::size_t>(n));
  }
}

Result<json::Value> Qmp::answer(Time limit) {
  const auto until = Clock::now() + limit;
  for (;;) {
    NX_TRY(const json::Value message, receive(until));
    if (const json::Value* value = message.find("return"); value != nullptr) return *value;
    if (const json::Value* error = message.find("error"); error != nullptr)
      return fail(Errc::RuntimeError, "QEMU: " + error->text("desc"));
    if (message.find("event") == nullptr)
      return fail(Errc::RuntimeError, "QEMU's monitor: unexpected message");
  }
}

Result<Qmp> Qmp::open(UniqueFd socket, Time limit) {
  Qmp session(std::move(socket));
  NX_TRY(const json::Value greeting, session.receive(Clock::now() + limit));
  if (greeting.find("QMP") == nullptr)
    return fail(Errc::RuntimeError, "QEMU's monitor: no greeting");
  NX_CHECK(session.execute("qmp_capabilities", limit));
  return session;
}

Result<json::Value> Qmp::execute(const std::string& command, Time limit) {
  return execute(command, json::Object(), limit);
}

Result<json::Value> Qmp::execute(const std::string& command, json::Object arguments, Time limit) {
  json::Object request;
  request.set("execute", command);
  if (!arguments.empty()) request.set("arguments", json::Value(std::move(arguments)));
  NX_CHECK(send_all(socket_.get(), json::dump(json::Value(std::move(request))) + "\n"), command);
  NX_TRY(json::Value value, answer(limit), command);
  return value;
}

Result<bool> Qmp::drain() {
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t n = ::recv(socket_.get(), part.data(), part.size(), MSG_DONTWAIT);
    if (n == 0) return false;
    if (n > 0) continue;  // events: nobody waits for one
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
    if (errno == ECONNRESET) return false;
    return fail_errno("read from QEMU's monitor");
  }
}

}  // namespace nexcage::vm::qemu
