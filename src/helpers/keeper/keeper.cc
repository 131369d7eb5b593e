#include "nexcage/helpers/keeper/keeper.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <utility>

#include "nexcage/helpers/keeper/console.h"
#include "nexcage/helpers/keeper/guest_exec.h"
#include "nexcage/helpers/keeper/guest_facts.h"
#include "nexcage/helpers/keeper/qga_port.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/host/guest.h"
#include "nexcage/vm/host/poller.h"
#include "nexcage/vm/qga/reply.h"

namespace nexcage::keeper {
namespace {

using vm::host::Poller;
using vm::protocol::kContainerSession;
using vm::protocol::Standalone;

/// For the last of a container's output to be taken by whoever looks at the console.
constexpr std::chrono::seconds kDrainTime{5};

class Keeper final : public vm::host::GuestEvents {
 public:
  Keeper(UniqueFd line, Standalone record, QgaPort port, UniqueFd console)
      : record_(std::move(record)),
        guest_(std::move(line), *this),
        exec_(guest_, record_.exec),
        port_(std::move(port)),
        console_(std::move(console)) {}

  /// Until the agent has been told to end the machine, or is gone.
  Result<> serve();

  // Of the agent.
  Result<> hello() override;
  Result<> prepared() override;
  Result<> started(std::uint32_t session, const vm::protocol::Started& started) override;
  Result<> failed(std::uint32_t session, const sys::plan::Failure& failure) override;
  Result<> exited(std::uint32_t session, const vm::protocol::Exit& exit) override;

  // Of the port.
  void handle(const vm::qga::Id& id, const vm::qga::Sync& sync) {
    port_.send(vm::qga::reply_sync(id, sync));
  }
  void handle(const vm::qga::Id& id, const vm::qga::Ping& /*ping*/) {
    port_.send(vm::qga::reply(id, json::Value(json::Object{})));
  }
  void handle(const vm::qga::Id& id, const vm::qga::Info& /*info*/) {
    port_.send(vm::qga::reply(id, vm::qga::info_result()));
  }
  void handle(const vm::qga::Id& id, const vm::qga::OsInfo& /*info*/) {
    port_.send(vm::qga::reply(id, system_facts()));
  }
  void handle(const vm::qga::Id& id, const vm::qga::NetworkInterfaces& /*interfaces*/) {
    port_.send(vm::qga::reply(id, network_facts()));
  }
  void handle(const vm::qga::Id& id, const vm::qga::ExecCommand& command);
  void handle(const vm::qga::Id& id, const vm::qga::ExecStatus& status);
  void handle(const vm::qga::Id& id, const vm::qga::Shutdown& shutdown);

 private:
  enum class Stage : std::uint8_t { made, running, ended, off };
  /// A guest-exec that is not answered yet: the process is being made.
  struct Pending {
    std::uint32_t session = 0;
    vm::qga::Id id;
  };

  Result<vm::host::Streams> container_streams() const;
  void serve_port();
  void answer(const vm::qga::Line& line);
  void refuse_pending(std::uint32_t session, const Error& error);
  void keep_time();
  void end(std::string text);
  void turn_off();

  Standalone record_;
  vm::host::Guest guest_;
  GuestExec exec_;
  QgaPort port_;
  UniqueFd console_;
  Stage stage_ = Stage::made;
  std::optional<Pending> pending_;
  std::optional<Poller::Clock::time_point> kill_at_, off_at_;
  bool stopping_ = false;
  std::string last_words_;
};

Result<> Keeper::serve() {
  while (stage_ != Stage::off || guest_.sending()) {
    Poller poller;
    guest_.add_to(poller);
    exec_.add_to(poller);
    port_.add_to(poller);
    poller.until(kill_at_);
    poller.until(off_at_);
    NX_CHECK(poller.wait());
    serve_port();
    keep_time();
  }
  return {};
}

/// With a terminal the console is the container's; else it has no input, and its output is there.
Result<vm::host::Streams> Keeper::container_streams() const {
  NX_TRY(const sys::plan::Plan plan, sys::plan::decode(record_.prepare.plan));
  vm::host::Streams streams;
  const auto console = [&] { return UniqueFd(::fcntl(console_.get(), F_DUPFD_CLOEXEC, 0)); };
  streams.out = console();
  if (plan.process.terminal) {
    streams.in = console();
    return streams;
  }
  streams.err = console();
  NX_TRY(streams.in, sys::sealed_data("", "no input"));
  return streams;
}

Result<> Keeper::hello() {
  NX_TRY(vm::host::Streams streams, container_streams());
  guest_.prepare(vm::protocol::encode(record_.prepare), std::move(streams));
  record_.prepare = {};
  return {};
}

Result<> Keeper::prepared() {
  guest_.start();
  return {};
}

Result<> Keeper::started(std::uint32_t session, const vm::protocol::Started& started) {
  if (session == kContainerSession) {
    if (stage_ == Stage::made) stage_ = Stage::running;
    return {};
  }
  exec_.started(session, started.pid);
  if (!pending_ || pending_->session != session) return {};
  json::Object result;
  result.set("pid", started.pid);
  port_.send(vm::qga::reply(pending_->id, json::Value(std::move(result))));
  pending_.reset();
  return {};
}

void Keeper::refuse_pending(std::uint32_t session, const Error& error) {
  if (!pending_ || pending_->session != session) return;
  port_.send(vm::qga::reply_error(pending_->id, error));
  pending_.reset();
}

Result<> Keeper::failed(std::uint32_t session, const sys::plan::Failure& failure) {
  if (session == kContainerSession) {
    end("nexcage: " + failure.text);
    return {};
  }
  exec_.failed(session);
  refuse_pending(session, Error(Errc::RuntimeError, failure.text));
  return {};
}

Result<> Keeper::exited(std::uint32_t session, const vm::protocol::Exit& exit) {
  if (session != kContainerSession) {
    exec_.exited(session, exit);
    refuse_pending(session, Error(Errc::RuntimeError, "the process ended before it ran"));
    return {};
  }
  if (exit.signal == 0)
    end("nexcage: ended with exit status " + std::to_string(exit.code));
  else
    end("nexcage: ended by " + sys::signal_name(static_cast<int>(exit.signal)) +
        (exit.out_of_memory && exit.signal == SIGKILL ? ", out of memory" : ""));
  return {};
}

void Keeper::serve_port() {
  while (!pending_ && stage_ != Stage::off) {
    const auto line = port_.next();
    if (!line) return;
    answer(*line);
  }
}

void Keeper::answer(const vm::qga::Line& line) {
  if (line.too_long)
    return port_.send(
        vm::qga::reply_error({}, Error(Errc::InvalidJson, "JSON parse error, a line too long")));
  const vm::qga::Request request = vm::qga::parse_request(line.text);
  if (!request.command)
    return port_.send(vm::qga::reply_error(request.id, request.command.error()));
  std::visit([&](const auto& command) { handle(request.id, command); }, *request.command);
}

void Keeper::handle(const vm::qga::Id& id, const vm::qga::ExecCommand& command) {
  if (stage_ != Stage::running)
    return port_.send(
        vm::qga::reply_error(id, Error(Errc::InvalidState, "the container is not running")));
  const auto session = exec_.start(command);
  if (!session) return port_.send(vm::qga::reply_error(id, session.error()));
  pending_ = Pending{.session = *session, .id = id};
}

void Keeper::handle(const vm::qga::Id& id, const vm::qga::ExecStatus& status) {
  const auto known = exec_.status(status.pid);
  port_.send(known ? vm::qga::reply(id, vm::qga::status_result(*known))
                   : vm::qga::reply_error(id, known.error()));
}

void Keeper::handle(const vm::qga::Id& /*id*/, const vm::qga::Shutdown& /*shutdown*/) {
  if (std::exchange(stopping_, true)) return;
  if (stage_ == Stage::made) return end("nexcage: shut down before it ran");
  if (stage_ != Stage::running) return;
  guest_.signal(kContainerSession, static_cast<int>(record_.stop_signal), false);
  kill_at_ = Poller::Clock::now() + std::chrono::seconds(record_.stop_seconds);
}

void Keeper::end(std::string text) {
  if (stage_ == Stage::ended || stage_ == Stage::off) return;
  stage_ = Stage::ended;
  last_words_ = std::move(text);
  kill_at_.reset();
  off_at_ = Poller::Clock::now() + kDrainTime;
}

void Keeper::keep_time() {
  const auto now = Poller::Clock::now();
  if (kill_at_ && now >= *kill_at_) {
    kill_at_.reset();
    guest_.signal(kContainerSession, SIGKILL, true);
  }
  if (stage_ == Stage::ended && (guest_.drained(kContainerSession) || now >= *off_at_)) turn_off();
}

void Keeper::turn_off() {
  stage_ = Stage::off;
  off_at_.reset();
  write_line(console_.get(), last_words_);
  guest_.shut_down();
}

/// Its end would be the machine's; what it keeps for others is bounded.
void survive_want_of_memory() {
  auto file = sys::open_at(AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY);
  if (file) (void)sys::write_all(file->get(), "-1000");
}

Result<Standalone> read_record() {
  NX_TRY(const std::string bytes,
         sys::read_file(AT_FDCWD, "/" + std::string(vm::protocol::kStandaloneFile),
                        vm::protocol::kMaxStandalone));
  return vm::protocol::decode<Standalone>(bytes);
}

Result<> keep(UniqueFd line, int console) {
  NX_TRY(Standalone record, read_record());
  NX_TRY(init::agent::Uevents uevents, init::agent::Uevents::open());
  NX_TRY(QgaPort port, QgaPort::create(std::move(uevents)));
  UniqueFd screen(console < 0 ? -1 : ::fcntl(console, F_DUPFD_CLOEXEC, 0));
  Keeper keeper(std::move(line), std::move(record), std::move(port), std::move(screen));
  return keeper.serve();
}

}  // namespace

void run(UniqueFd line) {
  survive_want_of_memory();
  (void)::signal(SIGPIPE, SIG_IGN);
  const UniqueFd console = open_console();
  const auto kept = keep(std::move(line), console.get());
  if (!kept) write_line(console.get(), "nexcage keeper: " + kept.error().message());
}

}  // namespace nexcage::keeper
