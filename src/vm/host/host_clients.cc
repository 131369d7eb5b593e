// The control socket of a machine.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "nexcage/sys/fs.h"
#include "nexcage/vm/host/control.h"
#include "nexcage/vm/host/host.h"

namespace nexcage::vm::host {
namespace {

using protocol::kContainerSession;

constexpr std::chrono::seconds kRequestTime(10);
constexpr std::size_t kMostClients = 256;
constexpr std::chrono::seconds kAcceptRest(1);

std::unexpected<Error> in_state(std::string_view status) {
  return fail(Errc::InvalidState, "the container is " + std::string(status));
}

}  // namespace

void Host::watch_clients(Poller& poller) {
  // Who cannot be taken waits in the queue; poll(2) would tell of him again and again.
  const bool full = clients_.size() >= kMostClients;
  const bool resting = accept_after_ && Clock::now() < *accept_after_;
  if (resting) poller.until(accept_after_);
  if (!full && !resting)
    poller.add(listener_.get(), POLLIN, [this](short) { return accept_client(); });
  for (Client& client : clients_) {
    poller.add(client.socket.get(), POLLIN, [this, &client](short) { return hear_client(client); });
    poller.until(client.until);
  }
}

Result<> Host::accept_client() {
  UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
    accept_after_ = Clock::now() + kAcceptRest;
  if (!socket) return {};  // or it has gone already
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                     (peer.uid == 0 || peer.uid == ::geteuid());
  if (!known) return {};
  clients_.push_back({.socket = std::move(socket)});
  return {};
}

Result<> Host::hear_client(Client& client) {
  auto message = sys::receive_message(client.socket.get(), kMaxControlMessage);
  if (!message || message->data.empty()) {
    client.socket.reset();  // settle_clients() forgets it
    forget_session(client);
    return {};
  }
  const auto request = json::parse(message->data);
  if (!request) {
    client.socket.reset();
    return {};
  }
  if (client.session) return pass_on(client, *request);
  auto answered = answer(client, *request, message->fds);
  if (!answered)
    reply(client, error_answer(answered.error()));
  else if (client.waits == Waits::no)
    reply(client, *std::move(answered));
  if (lost_) return fail(*lost_);
  return {};
}

/// QEMU that does not answer its monitor is of no use any more.
Result<> Host::watched(Result<> done) {
  if (!done && done.error().code() == Errc::Timeout) lost_ = done.error();
  return done;
}

Result<json::Object> Host::answer(Client& client, const json::Value& request,
                                  std::vector<UniqueFd>& fds) {
  const std::string verb = request.text("verb");
  json::Object out;
  if (verb == "status") {
    out.set("status", status());
    out.set("accelerator", qemu::accelerator_name(launch_.machine.accelerator));
    return out;
  }
  if (stage_ < Stage::prepared) return in_state(status());
  if (verb == "kill") return answer_kill(request);
  if (stage_ == Stage::ended) return in_state("stopped");
  if (verb == "pause" && !paused_) {
    // Whoever waits would wait for a machine that stands still, and be told that it is at fault.
    if (awaits_guest())
      return fail(Errc::InvalidState, "a process is being started in the container");
    NX_CHECK(watched(machine_->pause()));
    paused_ = true;
    return out;
  }
  if (verb == "resume" && paused_) {
    NX_CHECK(watched(machine_->resume()));
    paused_ = false;
    return out;
  }
  if (paused_) return in_state(status());
  if (verb == "start" && stage_ != Stage::prepared)
    return fail(Errc::InvalidState, "the container is not waiting to be started");
  if (verb == "start") {
    guest_->start();
    stage_ = Stage::starting;
    client.waits = Waits::start;
    if (launch_.start_seconds > 0)
      start_until_ = Clock::now() + std::chrono::seconds(launch_.start_seconds);
    return out;
  }
  if (verb == "exec") return answer_exec(client, request, fds);
  return in_state(status());
}

Result<json::Object> Host::answer_kill(const json::Value& request) {
  const auto signal =
      request.find("signal") != nullptr ? request.find("signal")->as_i64() : std::nullopt;
  const bool* all = request.find("all") != nullptr ? request.find("all")->if_bool() : nullptr;
  if (!signal || *signal < 1 || *signal > SIGRTMAX)
    return fail(Errc::InvalidSpec, "no such signal");
  if (*signal == SIGKILL) killed_ = true;
  // Its process has ended; what can still be ended is the wait for what that has written.
  if (stage_ == Stage::ended && *signal == SIGKILL) return json::Object();
  if (stage_ == Stage::ended) return in_state("stopped");
  if (*signal == SIGKILL) {
    // A machine that stands still, or hangs, has to end all the same.
    kill_until_ = Clock::now() + (paused_ ? std::chrono::seconds(0) : kRequestTime);
  }
  guest_->signal(kContainerSession, static_cast<int>(*signal), all != nullptr && *all);
  return json::Object();
}

Result<json::Object> Host::answer_exec(Client& client, const json::Value& request,
                                       std::vector<UniqueFd>& fds) {
  const bool* terminal =
      request.find("terminal") != nullptr ? request.find("terminal")->if_bool() : nullptr;
  const bool has_terminal = terminal != nullptr && *terminal;
  if (fds.size() != (has_terminal ? 2u : 4u))
    return fail(Errc::InvalidState, "exec: descriptors are missing");
  NX_TRY(const std::string message, sys::read_all(fds[0].get(), protocol::kMaxMessage));
  Streams streams{.in = std::move(fds[1]), .out = {}, .err = {}};
  if (has_terminal) {
    streams.out.reset(::fcntl(streams.in.get(), F_DUPFD_CLOEXEC, 3));
    if (!streams.out) return fail_errno("copy a descriptor");
  } else {
    streams.out = std::move(fds[2]);
    streams.err = std::move(fds[3]);
  }
  client.session = guest_->exec(message, std::move(streams));
  client.waits = Waits::exec;
  client.until = Clock::now() + kRequestTime;
  return json::Object();
}

Result<> Host::pass_on(const Client& client, const json::Value& message) {
  if (!guest_->is_open(*client.session)) return {};
  const auto number = [&](const char* name) -> std::int64_t {
    const json::Value* value = message.find(name);
    return value != nullptr ? value->as_i64().value_or(0) : 0;
  };
  if (const auto signal = number("signal"); signal > 0 && signal <= SIGRTMAX)
    guest_->signal(*client.session, static_cast<int>(signal), false);
  const auto rows = number("rows"), columns = number("columns");
  if (rows > 0 && columns > 0 && rows <= UINT16_MAX && columns <= UINT16_MAX)
    guest_->set_size(*client.session, static_cast<std::uint16_t>(rows),
                     static_cast<std::uint16_t>(columns));
  return {};
}

void Host::reply(Client& client, json::Object message) {
  // Who has gone hears nothing.
  if (client.socket) (void)tell(client.socket.get(), std::move(message));
}

/// Its process, if it ever comes to be, is killed; its descriptors are closed now.
void Host::forget_session(Client& client) {
  if (!client.session) return;
  if (guest_->is_open(*client.session)) guest_->signal(*client.session, SIGKILL, false);
  guest_->forget(*client.session);
  client.session.reset();
  client.code.reset();
}

void Host::check_clients(Clock::time_point now) {
  for (Client& client : clients_) {
    if (!client.until || *client.until > now) continue;
    client.until.reset();
    if (client.waits == Waits::exec) forget_session(client);
    client.waits = Waits::no;
    reply(client, error_answer(Error(Errc::Timeout, "the guest does not answer")));
  }
}

void Host::tell_exit(Client& client) {
  json::Object message;
  message.set("exit", *client.code);
  reply(client, std::move(message));
}

void Host::settle_clients() {
  for (Client& client : clients_) {
    if (!client.code || !guest_->drained(*client.session)) continue;
    tell_exit(client);
    guest_->forget(*client.session);
    client.session.reset();
    client.code.reset();
  }
  std::erase_if(clients_, [](const Client& client) { return !client.socket; });
}

void Host::fail_waiting(const Error& error) {
  for (Client& client : clients_) {
    if (client.waits == Waits::no) continue;
    if (client.waits == Waits::exec) forget_session(client);
    client.waits = Waits::no;
    client.until.reset();
    reply(client, error_answer(error));
  }
}

bool Host::awaits_guest() const {
  return stage_ == Stage::starting || std::ranges::any_of(clients_, [](const Client& client) {
           return client.waits != Waits::no;
         });
}

bool Host::has_execs() const {
  return std::ranges::any_of(clients_,
                             [](const Client& client) { return client.session && !client.code; });
}

/// Those whose process has not ended.
void Host::fail_running(const Error& error) {
  for (Client& client : clients_) {
    if (!client.session || client.code) continue;
    reply(client, error_answer(error));
    forget_session(client);
  }
}

void Host::fail_execs(const Error& error) {
  fail_running(error);
  for (Client& client : clients_) {
    if (!client.session) continue;
    // Its process has ended; only its reader has not taken everything.
    tell_exit(client);
    forget_session(client);
  }
}

}  // namespace nexcage::vm::host
