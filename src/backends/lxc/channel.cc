#include "nexcage/backends/lxc/channel.h"

#include <sys/socket.h>

#include <cstring>

#include "nexcage/json/value.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::lxc {

using sys::plan::MessageKind;

Error error_of(const sys::plan::Failure& failure) {
  const Errc code = failure.code < kErrcCount ? static_cast<Errc>(failure.code) : Errc::LXCError;
  // FileError is what a bare errno says in there; out here it was the container that failed.
  const Errc shown = code == Errc::FileError ? Errc::LXCError : code;
  if (failure.error == 0) return Error(shown, failure.text);
  return Error::from_errno(shown, failure.error, failure.text);
}

Result<Incoming> receive(int channel) {
  NX_TRY(sys::Message message, sys::receive_message(channel));
  if (message.data.empty()) return fail(Errc::LXCError, "the container's first process ended");
  Incoming incoming;
  incoming.kind = static_cast<MessageKind>(message.data[0]);
  incoming.content = message.data.substr(1);
  incoming.fds = std::move(message.fds);
  incoming.sender = message.sender.value_or(0);
  if (incoming.kind != MessageKind::failed) return incoming;
  NX_TRY(sys::plan::Failure failure, sys::plan::decode_failure(incoming.content));
  return fail(error_of(failure));
}

Result<Incoming> expect(int channel, MessageKind kind) {
  NX_TRY(Incoming incoming, receive(channel));
  if (incoming.kind != kind) return fail(Errc::LXCError, "unexpected message of the first process");
  return incoming;
}

Result<> send(int channel, MessageKind kind, std::string_view content) {
  return sys::send_message(channel, std::string(1, static_cast<char>(kind)).append(content));
}

Result<> send_plan(int channel, const sys::plan::Plan& plan, const std::vector<UniqueFd>& fds) {
  constexpr std::size_t kBatch = 128;  // below the kernel's SCM_MAX_FD
  NX_TRY(UniqueFd bytes, sys::sealed_data(sys::plan::encode(plan), "nexcage-plan"));
  const auto count = static_cast<std::uint32_t>(fds.size());
  std::string go(1, static_cast<char>(MessageKind::go));
  go.append(reinterpret_cast<const char*>(&count), sizeof count);
  const int plan_fd = bytes.get();
  NX_CHECK(sys::send_message(channel, go, std::span(&plan_fd, 1)));
  for (std::size_t at = 0; at < fds.size(); at += kBatch) {
    std::vector<int> batch;
    for (std::size_t i = at; i < std::min(fds.size(), at + kBatch); ++i)
      batch.push_back(fds[i].get());
    const char kind = static_cast<char>(MessageKind::fds);
    NX_CHECK(sys::send_message(channel, std::string_view(&kind, 1), batch));
  }
  return {};
}

std::string describe(const SeccompListener& listener) {
  json::Object state;
  state.set("ociVersion", listener.state.oci_version);
  state.set("fds", json::Array{"seccompFd"});
  state.set("pid", listener.pid);
  if (!listener.metadata.empty()) state.set("metadata", listener.metadata);
  state.set("state", oci::to_json(listener.state));
  return json::dump(json::Value(std::move(state)));
}

namespace {

Result<> hand_over(const SeccompListener& listener, const UniqueFd& notifications) {
  NX_TRY(UniqueFd agent, sys::connect_unix(listener.path, SOCK_STREAM));
  const int fd = notifications.get();
  return sys::send_message(agent.get(), describe(listener), std::span(&fd, 1));
}

}  // namespace

Result<> await_execution(int channel, const SeccompListener& listener) {
  for (;;) {
    NX_TRY(sys::Message message, sys::receive_message(channel));
    if (message.data.empty()) return {};  // closed by execve
    const auto kind = static_cast<MessageKind>(message.data[0]);
    if (kind == MessageKind::listener && message.fds.size() == 1) {
      NX_CHECK(hand_over(listener, message.fds[0]), "linux.seccomp.listenerPath " + listener.path);
      continue;
    }
    if (kind != MessageKind::failed)
      return fail(Errc::LXCError, "unexpected message of the first process");
    NX_TRY(sys::plan::Failure failure,
           sys::plan::decode_failure(std::string_view(message.data).substr(1)));
    return fail(error_of(failure));
  }
}

Result<> deliver_terminal(UniqueFd master, const std::optional<std::string>& console_socket,
                          UniqueFd& kept) {
  NX_CHECK(sys::disable_onlcr(master.get()), "terminal");
  if (console_socket)
    NX_CHECK(sys::send_console(*console_socket, master.get()),
             "send the terminal to " + *console_socket);
  else
    kept = std::move(master);
  return {};
}

}  // namespace nexcage::backends::lxc
