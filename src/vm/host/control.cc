#include "nexcage/vm/host/control.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <ranges>

#include "nexcage/sys/pty.h"
#include "nexcage/vm/host/launch.h"

namespace nexcage::vm::host {

sys::plan::Failure failure_of(const Error& error) {
  sys::plan::Failure out{.code = static_cast<std::uint32_t>(error.code()),
                         .error = error.sys_errno(),
                         .operation = -1,
                         .text = {}};
  for (const Frame& frame : std::views::reverse(error.frames()))
    out.text += (out.text.empty() ? "" : ": ") + frame.text;
  return out;
}

json::Object error_answer(const Error& error) {
  const sys::plan::Failure failure = failure_of(error);
  json::Object out;
  out.set("code", errc_name(error.code()));
  out.set("errno", failure.error);
  out.set("text", failure.text);
  if (!error.hint().empty()) out.set("hint", error.hint());
  json::Object answer;
  answer.set("error", json::Value(std::move(out)));
  return answer;
}

Result<> check_answer(const json::Value& answer) {
  const json::Value* error = answer.find("error");
  if (error == nullptr) return {};
  const json::Value* number = error->find("errno");
  const int code = number != nullptr ? static_cast<int>(number->as_i64().value_or(0)) : 0;
  const Errc kind = errc_from_name(error->text("code"), Errc::RuntimeError);
  Error out = code != 0 ? Error::from_errno(kind, code, error->text("text"))
                        : Error(kind, error->text("text"));
  if (const std::string hint = error->text("hint"); !hint.empty())
    return fail(std::move(out).hint(hint));
  return fail(std::move(out));
}

Error error_of(const sys::plan::Failure& failure) {
  const bool known = failure.code < static_cast<std::uint32_t>(kErrcCount);
  const Errc said = known ? static_cast<Errc>(failure.code) : Errc::RuntimeError;
  // FileError is what a bare errno says in there; out here it was the container that failed.
  const Errc code = said == Errc::FileError ? Errc::RuntimeError : said;
  if (failure.error != 0) return Error::from_errno(code, failure.error, failure.text);
  return {code, failure.text};
}

Result<UniqueFd> connect(const std::string& state_dir) {
  auto socket = sys::connect_unix(state_dir + "/" + kControlSocket, SOCK_SEQPACKET);
  if (socket) return socket;
  const int error = socket.error().sys_errno();
  if (error == ENOENT || error == ECONNREFUSED)
    return fail(Errc::InvalidState, "container not running");
  return fail(std::move(socket).error());
}

Result<> tell(int socket, json::Object message, std::span<const int> fds) {
  return sys::send_message(socket, json::dump(json::Value(std::move(message))), fds);
}

Result<json::Value> hear(int socket, std::chrono::milliseconds limit) {
  pollfd entry{.fd = socket, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, limit.count() < 0 ? -1 : static_cast<int>(limit.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return fail_errno("wait for the machine's helper");
  if (ready == 0) return fail(Errc::Timeout, "the machine's helper does not answer");
  auto message = sys::receive_message(socket, kMaxControlMessage);
  if (!message && message.error().sys_errno() != ECONNRESET)
    return fail(std::move(message).error());
  if (!message || message->data.empty())
    return fail(Errc::InvalidState, "the machine has ended meanwhile");
  NX_TRY(json::Value answer, json::parse(message->data));
  NX_CHECK(check_answer(answer));
  return answer;
}

Result<json::Value> ask(const std::string& state_dir, json::Object request,
                        std::chrono::milliseconds limit) {
  NX_TRY(const UniqueFd socket, connect(state_dir));
  NX_CHECK(tell(socket.get(), std::move(request)));
  return hear(socket.get(), limit);
}

Result<UniqueFd> catch_signals() {
  sigset_t wanted;
  sigfillset(&wanted);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGCHLD})
    sigdelset(&wanted, own);
  if (::sigprocmask(SIG_SETMASK, &wanted, nullptr) != 0) return fail_errno("block signals");
  UniqueFd fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("wait for signals");
  return fd;
}

}  // namespace nexcage::vm::host
