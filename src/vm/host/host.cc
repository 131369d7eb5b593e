#include "nexcage/vm/host/host.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "nexcage/sys/caps.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/vm/host/control.h"
#include "nexcage/vm/host/terminal.h"

namespace nexcage::vm::host {
namespace {

using protocol::kContainerSession;
using sys::plan::MessageKind;

constexpr std::chrono::milliseconds kLastWordsTime(200);
constexpr std::chrono::seconds kShutdownTime(10);
/// Of a reader of the container's output, after its end, who takes nothing.
constexpr std::chrono::minutes kDrainTime(5);
/// Of the guest's kernel, to end what was executed in a container whose process has ended.
constexpr std::chrono::seconds kExecTime(2);

/// Each exec has up to four.
Result<> raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("look at a limit");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("raise a limit");
  return {};
}

/// QEMU has them: here they would only keep disks and tap devices in use after its end.
void close_given(qemu::Machine& machine) {
  UniqueFd(std::exchange(machine.initrd, -1)).reset();
  for (qemu::Disk& disk : machine.disks) UniqueFd(std::exchange(disk.fd, -1)).reset();
  for (qemu::Nic& nic : machine.nics) UniqueFd(std::exchange(nic.tap, -1)).reset();
}

/// The streams are the guest's from here on: whoever is at their other end must see when it closes
/// them.
Result<> leave_standard_streams() {
  NX_TRY(const UniqueFd null, sys::open_at(AT_FDCWD, "/dev/null", O_RDWR));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::dup2(null.get(), fd) < 0) return fail_errno("leave a standard stream");
  return {};
}

Result<> send_to(int socket, MessageKind kind, std::string_view content,
                 std::span<const int> fds = {}) {
  return sys::send_message(socket, std::string(1, static_cast<char>(kind)) + std::string(content),
                           fds);
}

}  // namespace

Host::Host(Launch launch, std::string prepare, UniqueFd creator)
    : launch_(std::move(launch)), prepare_(std::move(prepare)), creator_(std::move(creator)) {}

Result<> Host::set_up() {
  for (const std::string& file : launch_.cgroup_files) {
    NX_TRY(UniqueFd fd, sys::open_at(AT_FDCWD, file, O_WRONLY));
    NX_CHECK(sys::write_all(fd.get(), "0"), "enter " + file);
  }
  if (launch_.oom_score != kNoOomScore) {
    NX_TRY(UniqueFd score, sys::open_at(AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY));
    NX_CHECK(sys::write_all(score.get(), std::to_string(launch_.oom_score)), "oom_score_adj");
  }
  NX_CHECK(raise_descriptor_limit());
  NX_TRY(signals_, catch_signals());
  NX_TRY(UniqueFd state_dir, sys::open_at(AT_FDCWD, launch_.state_dir, O_RDONLY | O_DIRECTORY));
  NX_TRY(listener_, sys::listen_unix(state_dir.get(), kControlSocket, SOCK_SEQPACKET, 0600));
  boot_until_ = Clock::now() + std::chrono::seconds(launch_.boot_seconds);
  NX_TRY(machine_, Machine::start(launch_));
  close_given(launch_.machine);
  if (!launch_.forwards.empty()) forwarder_.emplace(launch_.forwards);
  guest_.emplace(machine_->take_port(), static_cast<GuestEvents&>(*this));
  // What is left to do needs none: but QEMU is another user's process.
  NX_CHECK(sys::keep_capabilities(sys::CapSet{1} << CAP_KILL));
  if (!launch_.terminal) return {};
  // While the machine boots.
  NX_TRY(Terminal terminal, open_terminal({.rows = launch_.rows, .columns = launch_.columns}));
  NX_CHECK(control_terminal(terminal.slave.get()));
  NX_CHECK(send_to(creator_.get(), MessageKind::terminal, {},
                   std::array<int, 1>{terminal.master.get()}));
  terminal_ = std::move(terminal.slave);
  return {};
}

int Host::run() {
  auto done = set_up();
  if (done) done = serve();
  if (!done) return lose(done.error());
  return finish();
}

Result<> Host::serve() {
  while (!finished()) NX_CHECK(step());
  return {};
}

/// What is waited for as long as there is a guest.
void Host::watch(Poller& poller) {
  guest_->add_to(poller);
  poller.add(machine_->output(), POLLIN, [this](short) -> Result<> {
    machine_->read_output();
    return {};
  });
  poller.add(signals_.get(), POLLIN, [this](short) { return take_signal(); });
  if (forwarder_) forwarder_->add_to(poller);
  watch_clients(poller);
}

/// Without one of them the container's file system is not there any more.
void Host::watch_daemons(Poller& poller) {
  for (const Machine::Daemon& daemon : machine_->daemons())
    poller.add(daemon.process.pidfd(), POLLIN, [&daemon](short) -> Result<> {
      return fail(Errc::RuntimeError, "virtiofsd of " + daemon.source + " has ended");
    });
}

Result<> Host::step() {
  Poller poller;
  watch(poller);
  poller.add(machine_->pidfd(), POLLIN, [this](short) -> Result<> {
    NX_TRY(const std::string how, machine_->how_it_ended());
    return fail(Errc::RuntimeError, how);
  });
  watch_daemons(poller);
  if (stage_ < Stage::prepared)
    poller.add(creator_.get(), POLLIN, [](short) -> Result<> {
      return fail(Errc::RuntimeError, "the command that creates the container has ended");
    });
  poller.until(boot_until_);
  poller.until(start_until_);
  poller.until(kill_until_);
  if (stage_ == Stage::ended) poller.until(drained_until());
  if (stage_ == Stage::ended && has_execs()) poller.until(ended_at_ + kExecTime);
  NX_CHECK(poller.wait());
  settle_clients();
  return check_deadlines();
}

Result<> Host::check_deadlines() {
  const auto now = Clock::now();
  const auto passed = [&](const Deadline& deadline) { return deadline && *deadline <= now; };
  if (passed(boot_until_))
    return fail(Error(Errc::Timeout, "the guest has not come up within " +
                                         std::to_string(launch_.boot_seconds) + " s")
                    .hint("its console says: " + machine_->last_words()));
  if (passed(start_until_))
    return fail(Errc::Timeout, "the guest does not start the container's process");
  if (passed(kill_until_)) {
    // The guest's kernel does not do it any more; the container ends with the machine.
    end_container(128 + SIGKILL);
  }
  check_clients(now);
  return {};
}

Result<Streams> Host::streams() {
  Streams out;
  if (launch_.terminal) {
    out.in.reset(::fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 0));
    out.out.reset(::fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 0));
    if (!out.in || !out.out) return fail_errno("copy a descriptor");
    return out;
  }
  out.in.reset(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  out.out.reset(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  out.err.reset(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  return out;
}

Result<> Host::hello() {
  NX_TRY(Streams own, streams());
  NX_CHECK(leave_standard_streams());
  guest_->prepare(prepare_, std::move(own));
  prepare_.clear();
  stage_ = Stage::preparing;
  return {};
}

Result<> Host::prepared() {
  if (stage_ != Stage::preparing) return fail(Errc::RuntimeError, "the guest prepared too early");
  boot_until_.reset();
  stage_ = Stage::prepared;
  if (launch_.terminal) NX_CHECK(copy_size());
  NX_CHECK(send_to(creator_.get(), MessageKind::ready, {}));
  creator_.reset();
  return {};
}

Result<> Host::started(std::uint32_t session, const protocol::Started& /*started*/) {
  if (session == kContainerSession) {
    if (stage_ == Stage::ended) return {};  // killed meanwhile
    if (stage_ != Stage::starting)
      return fail(Errc::RuntimeError, "the guest has started a process that was not to be started");
    stage_ = Stage::running;
    start_until_.reset();
  }
  for (Client& client : clients_) {
    const bool waited = session == kContainerSession
                            ? client.waits == Waits::start
                            : client.waits == Waits::exec && client.session == session;
    if (!waited) continue;
    client.waits = Waits::no;
    client.until.reset();
    reply(client, {});
  }
  return {};
}

Result<> Host::failed(std::uint32_t session, const sys::plan::Failure& failure) {
  const Error error = error_of(failure);
  if (session == kContainerSession) {
    if (stage_ < Stage::prepared) return fail(error);
    for (Client& client : clients_)
      if (client.waits == Waits::start) reply(client, error_answer(error));
    end_container(1);
    return {};
  }
  guest_->forget(session);
  for (Client& client : clients_) {
    if (client.session != session) continue;
    client.session.reset();
    client.waits = Waits::no;
    client.until.reset();
    reply(client, error_answer(error));
  }
  return {};
}

Result<> Host::exited(std::uint32_t session, const protocol::Exit& exit) {
  const int code =
      exit.signal != 0 ? 128 + static_cast<int>(exit.signal) : static_cast<int>(exit.code);
  if (session == kContainerSession) {
    end_container(code);
    kill_until_.reset();
    if (exit.out_of_memory && exit.signal == SIGKILL)
      keep_reason("the guest's kernel has killed for want of memory");
    fail_waiting(Error(Errc::InvalidState, "the container's process has ended"));
    return {};
  }
  bool known = false;
  for (Client& client : clients_) {
    if (client.session != session) continue;
    client.code = code;
    known = true;
  }
  if (!known) guest_->forget(session);
  return {};
}

Result<> Host::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return {};
  const int signal = static_cast<int>(info.ssi_signo);
  if (signal == SIGWINCH && launch_.terminal) return copy_size();
  if (signal == SIGPIPE) return {};
  if (stage_ < Stage::prepared) {
    if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT)
      return fail(Errc::RuntimeError, "ended by " + sys::signal_name(signal) + " while it booted");
    return {};
  }
  if (guest_->is_open(kContainerSession)) guest_->signal(kContainerSession, signal, false);
  return {};
}

Result<> Host::copy_size() {
  NX_TRY(const sys::WindowSize size, sys::window_size(terminal_.get()));
  if ((size.rows != 0 || size.columns != 0) && guest_->is_open(kContainerSession))
    guest_->set_size(kContainerSession, size.rows, size.columns);
  return {};
}

void Host::end_container(int code) {
  code_ = code;
  stage_ = Stage::ended;
  ended_at_ = Clock::now();
}

Host::Clock::time_point Host::drained_until() const {
  return std::max(ended_at_, guest_->last_progress()) + kDrainTime;
}

bool Host::finished() const {
  if (stage_ != Stage::ended) return false;
  const bool hangs = kill_until_.has_value();
  if (has_execs() && !hangs && Clock::now() < ended_at_ + kExecTime) return false;
  // Who kills does not wait for a reader of what is left.
  if (killed_ || drained_until() <= Clock::now()) return true;
  return guest_->drained(kContainerSession) &&
         std::ranges::none_of(clients_,
                              [](const Client& client) { return client.code.has_value(); });
}

/// Asks the guest to write back what it has. True when QEMU has ended.
bool Host::shut_down() {
  guest_->shut_down();
  const auto until = Clock::now() + kShutdownTime;
  bool gone = false;
  // Whoever kills now does not want to wait for it.
  killed_ = false;
  while (!gone && !killed_ && Clock::now() < until) {
    Poller poller;
    watch(poller);
    poller.add(machine_->pidfd(), POLLIN, [&](short) -> Result<> {
      gone = true;
      return {};
    });
    poller.until(until);
    if (!poller.wait()) {
      // The port is closed: QEMU is about to end.
      const auto ended = sys::wait_exit(machine_->pidfd(), kShutdownTime);
      return ended && *ended;
    }
    settle_clients();
    check_clients(Clock::now());
  }
  return gone;
}

int Host::finish() {
  fail_execs(Error(Errc::InvalidState, "the container has ended"));
  const bool hangs = paused_ || kill_until_;
  const bool gone = launch_.persistent && !hangs && shut_down();
  machine_->end(launch_.persistent && !hangs && !gone && !killed_);
  return *code_;
}

int Host::lose(const Error& error) {
  Error told = error;
  if (machine_) {
    // When its port is closed QEMU is about to end, and says why.
    const auto gone = sys::wait_exit(machine_->pidfd(), kLastWordsTime);
    machine_->read_output();
    if (gone && *gone) {
      if (const auto how = machine_->how_it_ended()) told = Error(Errc::RuntimeError, *how);
    } else {
      machine_->end(false);
    }
  }
  if (creator_) tell_creator_failed(told);
  // Where the container's log is, too; of one that has ended all output is here.
  else if (guest_ && stage_ != Stage::ended)
    guest_->say(kContainerSession,
                "nexcage: the virtual machine was lost: " + told.message() + "\n");
  keep_reason(told.message());
  fail_waiting(told);
  fail_running(told);
  if (stage_ == Stage::ended) drain();
  fail_execs(told);
  return code_.value_or(kLostCode);
}

/// Without the machine: passes on what is left of the output of processes that have ended.
void Host::drain() {
  while (!finished()) {
    Poller poller;
    guest_->add_readers_to(poller);
    poller.add(signals_.get(), POLLIN, [this](short) { return take_signal(); });
    watch_clients(poller);
    poller.until(drained_until());
    if (!poller.wait()) return;
    settle_clients();
    check_clients(Clock::now());
  }
}

void Host::keep_reason(const std::string& text) const {
  (void)sys::write_file_atomic(launch_.state_dir + "/" + kReasonFile, text + "\n", 0600,
                               sys::Durable::no);
}

void Host::tell_creator_failed(const Error& error) {
  sys::plan::Failure failure = failure_of(error);
  if (!error.hint().empty()) failure.text += " (" + error.hint() + ")";
  (void)send_to(creator_.get(), MessageKind::failed, sys::plan::encode(failure));
}

std::string_view Host::status() const {
  // As long as there is a machine it may write to its disks: only our end is the container's.
  if (stage_ == Stage::ended) return "running";
  if (paused_) return "paused";
  if (stage_ == Stage::running) return "running";
  return stage_ < Stage::prepared ? "creating" : "created";
}

}  // namespace nexcage::vm::host
