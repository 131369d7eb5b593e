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

Result<> wait_readable(int fd, Clock::time_point until, const Meanwhile& meanwhile) {
  int other = meanwhile.fd;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd entries[] = {{.fd = fd, .events = POLLIN, .revents = 0},
                        {.fd = other, .events = POLLIN, .revents = 0}};
    const int ready = ::poll(entries, 2, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready < 0 && errno != EINTR) return fail_errno("wait for QEMU's monitor");
    if (ready > 0 && entries[0].revents != 0) return {};
    if (ready > 0 && entries[1].revents != 0 && !meanwhile.read()) other = -1;
    if (Clock::now() >= until) return fail(Errc::Timeout, "QEMU's monitor does not answer");
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

Result<json::Value> Qmp::receive(Clock::time_point until, const Meanwhile& meanwhile) {
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
    NX_CHECK(wait_readable(socket_.get(), until, meanwhile));
    std::array<char, 4096> part;
    const ssize_t n = ::recv(socket_.get(), part.data(), part.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read from QEMU's monitor");
    if (n == 0) return fail(Errc::RuntimeError, "QEMU has ended");
    buffer_.append(part.data(), static_cast<std::size_t>(n));
  }
}

Result<json::Value> Qmp::answer(std::uint64_t id, Time limit, const Meanwhile& meanwhile) {
  const auto until = Clock::now() + limit;
  for (;;) {
    NX_TRY(const json::Value message, receive(until, meanwhile));
    if (message.find("event") != nullptr) continue;
    const json::Value* error = message.find("error");
    const json::Value* answered = message.find("id");
    // What it could not even read it answers without an id.
    const bool ours = answered != nullptr ? answered->as_u64() == id : error != nullptr;
    if (!ours) return fail(Errc::RuntimeError, "QEMU's monitor: an answer to something else");
    if (error != nullptr) return fail(Errc::RuntimeError, "QEMU: " + error->text("desc"));
    if (const json::Value* value = message.find("return"); value != nullptr) return *value;
    return fail(Errc::RuntimeError, "QEMU's monitor: unexpected message");
  }
}

Result<Qmp> Qmp::open(UniqueFd socket, Time limit, const Meanwhile& meanwhile) {
  Qmp session(std::move(socket));
  NX_TRY(const json::Value greeting, session.receive(Clock::now() + limit, meanwhile));
  if (greeting.find("QMP") == nullptr)
    return fail(Errc::RuntimeError, "QEMU's monitor: no greeting");
  NX_CHECK(session.execute("qmp_capabilities", limit, meanwhile));
  return session;
}

Result<json::Value> Qmp::execute(const std::string& command, Time limit,
                                 const Meanwhile& meanwhile) {
  const std::uint64_t id = ++last_id_;
  json::Object request;
  request.set("execute", command);
  request.set("id", id);
  NX_CHECK(send_all(socket_.get(), json::dump(json::Value(std::move(request))) + "\n"), command);
  NX_TRY(json::Value value, answer(id, limit, meanwhile), command);
  return value;
}

}  // namespace nexcage::vm::qemu
