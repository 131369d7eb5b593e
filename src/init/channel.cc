#include "nexcage/init/channel.h"

#include <unistd.h>

#include <cstring>
#include <ranges>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/pty.h"

namespace nexcage::init {
namespace {

using sys::plan::MessageKind;

/// A plan with seccomp rules and hundreds of mounts is some 100 KiB; this is a bound, not a size.
constexpr std::size_t kMaxPlan = 64u << 20;

Result<sys::Message> receive(int channel, MessageKind kind) {
  NX_TRY(sys::Message message, sys::receive_message(channel));
  if (message.data.empty()) _exit(1);  // the runtime died: end quietly, nobody listens
  if (message.data[0] != static_cast<char>(kind))
    return fail(Errc::LXCError, "unexpected message from the runtime");
  return message;
}

}  // namespace

Result<> send(int channel, MessageKind kind, std::string_view content, int fd) {
  std::string data(1, static_cast<char>(kind));
  data += content;
  if (fd < 0) return sys::send_message(channel, data);
  return sys::send_message(channel, data, std::span(&fd, 1));
}

Result<> send_hello(int channel) {
  const pid_t pid = ::getpid();
  return send(channel, MessageKind::hello,
              std::string_view(reinterpret_cast<const char*>(&pid), sizeof pid));
}

Result<> await(int channel, MessageKind kind) {
  NX_CHECK(receive(channel, kind));
  return {};
}

Result<> receive_plan(Context& context) {
  NX_TRY(sys::Message go, receive(context.channel.get(), MessageKind::go));
  std::uint32_t count = 0;
  if (go.data.size() != 1 + sizeof count || go.fds.size() != 1)
    return fail(Errc::LXCError, "damaged message from the runtime");
  std::memcpy(&count, go.data.data() + 1, sizeof count);
  while (context.fds.size() < count) {
    NX_TRY(sys::Message more, receive(context.channel.get(), MessageKind::fds));
    if (more.fds.empty()) return fail(Errc::LXCError, "descriptors of the plan are missing");
    for (UniqueFd& fd : more.fds) context.fds.push_back(std::move(fd));
  }
  NX_TRY(std::string bytes, sys::read_all(go.fds[0].get(), kMaxPlan), "read the plan");
  NX_TRY(context.plan, sys::plan::decode(bytes));
  return {};
}

sys::plan::Failure failure_of(const Error& error, int operation) {
  sys::plan::Failure failure;
  failure.code = static_cast<std::uint32_t>(error.code());
  failure.error = error.sys_errno();
  failure.operation = operation;
  for (const Frame& frame : std::views::reverse(error.frames()))
    failure.text += (failure.text.empty() ? "" : ": ") + frame.text;
  return failure;
}

void report(int channel, const Error& error, int operation) {
  // Nobody may be left to read it; there is nothing else to be done about that here.
  (void)send(channel, MessageKind::failed, sys::plan::encode(failure_of(error, operation)));
}

}  // namespace nexcage::init
