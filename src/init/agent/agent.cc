#include "nexcage/init/agent/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>

#include "nexcage/base/text.h"
#include "nexcage/init/agent/dhcp.h"
#include "nexcage/init/agent/machine.h"
#include "nexcage/init/agent/network.h"
#include "nexcage/init/agent/session.h"
#include "nexcage/init/agent/sources.h"
#include "nexcage/init/agent/standalone.h"
#include "nexcage/init/channel.h"
#include "nexcage/sys/fs.h"

namespace nexcage::init::agent {
namespace {

using vm::protocol::Frame;
using vm::protocol::kContainerSession;
using vm::protocol::Mux;
using vm::protocol::Stream;
using vm::protocol::Type;

constexpr std::string_view kPortName = "nexcage.0";

/// The descriptors that are waited for, each with what is to be done then.
class Waiting {
 public:
  void add(int fd, short events, std::function<void(short)> act) {
    if (fd < 0) return;
    fds_.push_back({.fd = fd, .events = events, .revents = 0});
    acts_.push_back(std::move(act));
  }
  void wait() {
    if (::poll(fds_.data(), fds_.size(), -1) <= 0) return;
    for (std::size_t i = 0; i < fds_.size(); ++i)
      if (fds_[i].revents != 0) acts_[i](fds_[i].revents);
  }

 private:
  std::vector<pollfd> fds_;
  std::vector<std::function<void(short)>> acts_;
};

class Agent {
 public:
  explicit Agent(Machine machine) : machine_(std::move(machine)) {}
  /// Until the host has said "shutdown", or an error of the conversation.
  Result<> serve();
  void tell(std::uint32_t session, const Error& error) {
    mux_.send(Type::error, session, sys::plan::encode(failure_of(error, -1)));
  }
  /// All that waits goes out; without success when the host is gone.
  void flush();

 private:
  Result<> connect();
  void wait_once();
  void on_port(short events);
  void write_port();
  Result<> handle_frames();
  Result<> handle(const Frame& frame);
  Result<> handle_session(const Frame& frame);
  Result<> prepare(const Frame& frame);
  Result<> exec(const Frame& frame);
  Result<> make_container(const Frame& frame);
  Result<> make_exec(const Frame& frame);
  Result<> signal(const Frame& frame);
  void reap();
  void finish_sessions();

  Machine machine_;
  UniqueFd port_, children_;
  Mux mux_{vm::protocol::Role::guest};
  std::map<std::uint32_t, Session> sessions_;
  bool shutdown_ = false, gone_ = false;
};

Result<> Agent::connect() {
  // Made before any child can be: its end must not be missed.
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  (void)::sigprocmask(SIG_BLOCK, &child, nullptr);
  (void)::signal(SIGPIPE, SIG_IGN);
  children_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!children_) return fail_errno("make a signalfd");
  NX_TRY(port_, stands_alone() ? start_keeper(machine_) : open_port(machine_, kPortName));
  mux_.send(Type::hello, kContainerSession, encode(vm::protocol::Hello{}));
  // A write that blocks waits for the host's end to be opened (virtio_console.c, will_write_block).
  NX_CHECK(sys::write_all(port_.get(), mux_.pending()), "say hello");
  mux_.sent(mux_.pending().size());
  if (::fcntl(port_.get(), F_SETFL, O_RDWR | O_NONBLOCK) < 0) return fail_errno("set up the port");
  return {};
}

Result<> Agent::serve() {
  NX_CHECK(connect());
  while (!shutdown_ && !gone_) {
    wait_once();
    NX_CHECK(handle_frames());
    reap();
    finish_sessions();
  }
  return {};
}

void Agent::wait_once() {
  Waiting waiting;
  const short port_events = static_cast<short>(POLLIN | (mux_.pending().empty() ? 0 : POLLOUT));
  waiting.add(port_.get(), port_events, [this](short events) { on_port(events); });
  waiting.add(children_.get(), POLLIN, [](short) {});
  for (auto& [id, session] : sessions_) {
    waiting.add(session.channel(), POLLIN, [&](short) { session.on_channel(mux_); });
    waiting.add(session.input(), POLLOUT, [&](short) { session.on_input(mux_); });
    for (const Stream stream : {Stream::out, Stream::err})
      waiting.add(session.output(mux_, stream), POLLIN,
                  [&, stream](short) { session.on_output(mux_, stream); });
  }
  waiting.wait();
}

void Agent::on_port(short events) {
  if ((events & POLLOUT) != 0) write_port();
  if ((events & POLLIN) != 0) {
    std::array<char, 65536> buffer;
    const ssize_t n = ::read(port_.get(), buffer.data(), buffer.size());
    if (n > 0) return mux_.receive(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) gone_ = true;
    return;
  }
  if ((events & (POLLHUP | POLLERR)) != 0) gone_ = true;
}

void Agent::write_port() {
  while (!mux_.pending().empty()) {
    const std::string_view bytes = mux_.pending();
    const ssize_t n = ::write(port_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    mux_.sent(static_cast<std::size_t>(n));
  }
}

void Agent::flush() {
  if (!port_ || gone_) return;
  (void)::fcntl(port_.get(), F_SETFL, O_RDWR);
  (void)sys::write_all(port_.get(), mux_.pending());
}

Result<> Agent::handle_frames() {
  for (;;) {
    NX_TRY(auto frame, mux_.next());
    if (!frame) return {};
    NX_CHECK(handle(*frame));
  }
}

Result<> Agent::handle(const Frame& frame) {
  switch (frame.type) {
    case Type::hello:
      return {};  // checked
    case Type::prepare:
      return make_container(frame);
    case Type::exec:
      return make_exec(frame);
    case Type::start: {
      const auto found = sessions_.find(kContainerSession);
      if (found == sessions_.end()) return {};  // ended meanwhile: the host is told
      return found->second.start();
    }
    case Type::shutdown:
      shutdown_ = true;
      return {};
    default:
      return handle_session(frame);
  }
}

Result<> Agent::handle_session(const Frame& frame) {
  if (frame.type == Type::signal) return signal(frame);
  const auto found = sessions_.find(frame.session);
  if (found == sessions_.end()) return {};
  Session& session = found->second;
  if (frame.type == Type::data) session.add_input(vm::protocol::data_of(frame).bytes);
  if (frame.type == Type::eof) session.end_input();
  if (frame.type == Type::winsize) {
    NX_TRY(const auto size, vm::protocol::decode<vm::protocol::WindowSize>(frame.payload));
    session.resize(size);
  }
  return {};
}

/// An error of what the host asks for is told to it; one of how it asks ends the conversation.
Result<> Agent::make_container(const Frame& frame) {
  if (auto done = prepare(frame); !done) tell(frame.session, done.error());
  return {};
}

Result<> Agent::make_exec(const Frame& frame) {
  if (auto done = exec(frame); !done) tell(frame.session, done.error());
  return {};
}

Result<> set_clock(std::int64_t seconds) {
  if (seconds == 0) return {};
  const timeval now{.tv_sec = seconds, .tv_usec = 0};
  if (::settimeofday(&now, nullptr) < 0) return fail_errno("set the clock");
  return {};
}

Result<> limit_processes(std::uint64_t most) {
  if (most == 0) return {};
  NX_TRY(UniqueFd file, sys::open_at(AT_FDCWD, std::string(kCgroup) + "/pids.max", O_WRONLY),
         "limit of processes");
  return sys::write_all(file.get(), std::to_string(most));
}

/// Servers for names that have come with an address, for the root file system `root`.
Result<> give_name_servers(int root) {
  auto text = sys::read_file(AT_FDCWD, kResolvConf);
  if (!text) return {};  // none have come
  // Images of one program have no /etc.
  (void)::mkdirat(root, "etc", 0755);
  NX_TRY(const UniqueFd file,
         sys::open_in_root(root, "etc/resolv.conf", O_WRONLY | O_CREAT | O_TRUNC, 0644));
  return sys::write_all(file.get(), *text);
}

Result<> Agent::prepare(const Frame& frame) {
  NX_TRY(auto wanted, vm::protocol::decode<vm::protocol::Prepare>(frame.payload));
  NX_TRY(const sys::plan::Plan plan, sys::plan::decode(wanted.plan));
  NX_CHECK(set_clock(wanted.seconds));
  NX_CHECK(make_container_group());
  NX_CHECK(limit_processes(wanted.pids_max));
  NX_CHECK(set_up_network(machine_, wanted.interfaces));
  Launch launch{.session = frame.session,
                .plan = std::move(wanted.plan),
                .fds = {},
                .terminal = plan.process.terminal};
  NX_TRY(launch.fds, open_sources(machine_, wanted.sources));
  // That there is no place for it in an image is its own matter.
  if (!launch.fds.empty()) (void)give_name_servers(launch.fds.front().get());
  NX_TRY(Session session, Session::launch(std::move(launch)));
  sessions_.emplace(frame.session, std::move(session));
  return {};
}

Result<> Agent::exec(const Frame& frame) {
  NX_TRY(auto wanted, vm::protocol::decode<vm::protocol::Exec>(frame.payload));
  NX_TRY(const sys::plan::Plan plan, sys::plan::decode(wanted.plan));
  const auto container = sessions_.find(kContainerSession);
  if (container == sessions_.end() || container->second.ended())
    return fail(Errc::InvalidState, "the container has ended");
  const pid_t pid = container->second.pid();
  Launch launch{.session = frame.session,
                .plan = std::move(wanted.plan),
                .fds = {},
                .terminal = plan.process.terminal};
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail_errno("open the container's process");
  NX_TRY(UniqueFd root,
         sys::open_at(AT_FDCWD, "/proc/" + std::to_string(pid) + "/root", O_PATH | O_DIRECTORY));
  launch.fds.push_back(std::move(pidfd));
  launch.fds.push_back(std::move(root));
  NX_TRY(Session session, Session::launch(std::move(launch)));
  sessions_.emplace(frame.session, std::move(session));
  return {};
}

void signal_group(int number) {
  auto text = sys::read_file(AT_FDCWD, std::string(kCgroup) + "/cgroup.procs");
  if (!text) return;
  for (const std::string& line : split(*text, '\n'))
    if (const auto pid = parse_u64(line)) (void)::kill(static_cast<pid_t>(*pid), number);
}

Result<> Agent::signal(const Frame& frame) {
  NX_TRY(const auto wanted, vm::protocol::decode<vm::protocol::Signal>(frame.payload));
  const int number = static_cast<int>(wanted.number);
  if (const auto found = sessions_.find(frame.session); found != sessions_.end())
    found->second.send_signal(number);
  if (wanted.all) signal_group(number);
  return {};
}

void Agent::reap() {
  signalfd_siginfo info{};
  while (::read(children_.get(), &info, sizeof info) > 0) {
  }
  for (;;) {
    siginfo_t ended{};
    if (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || ended.si_pid == 0)
      return;
    // Whose process it was may be in a message that it sent before.
    for (auto& [id, session] : sessions_) session.catch_up(mux_);
    int status = 0;
    if (::waitpid(ended.si_pid, &status, __WALL) != ended.si_pid) continue;
    for (auto& [id, session] : sessions_)
      if (session.pid() == ended.si_pid) session.on_exit(status);
  }
}

void Agent::finish_sessions() {
  for (auto entry = sessions_.begin(); entry != sessions_.end();)
    entry = entry->second.finish(mux_) ? sessions_.erase(entry) : std::next(entry);
}

/// For people who look at the machine's console.
void complain(const Error& error) {
  (void)std::fprintf(stderr, "nexcage agent: %s\n", error.message().c_str());
}

}  // namespace

void run() {
  ::umask(0);
  auto machine = set_up_machine();
  if (!machine) {
    complain(machine.error());
    power_off();
  }
  Agent agent(std::move(*machine));
  if (auto served = agent.serve(); !served) {
    complain(served.error());
    agent.tell(vm::protocol::kProtocolSession, served.error());
  }
  agent.flush();
  (void)::kill(-1, SIGKILL);
  while (::waitpid(-1, nullptr, __WALL) > 0 || errno == EINTR) {
  }
  power_off();
}

}  // namespace nexcage::init::agent
