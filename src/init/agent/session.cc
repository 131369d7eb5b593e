#include "nexcage/init/agent/session.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include "nexcage/init/agent/machine.h"
#include "nexcage/init/channel.h"
#include "nexcage/init/first_process.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/sys/process.h"
#include "nexcage/sys/pty.h"

namespace nexcage::init::agent {
namespace {

using sys::plan::MessageKind;
using vm::protocol::Mux;
using vm::protocol::Stream;
using vm::protocol::Type;

/// Output stops being read while so much waits for the port.
constexpr std::size_t kEnoughPending = 512u << 10;
constexpr std::size_t kPortion = 64u << 10;

struct Pipe {
  UniqueFd ours, theirs;
};

/// `ours` does not block; with `we_write` it is the pipe's writing end.
Result<Pipe> make_pipe(bool we_write) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) return fail_errno("make a pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  UniqueFd& ours = we_write ? write_end : read_end;
  if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) < 0) return fail_errno("set up a pipe");
  return we_write ? Pipe{std::move(write_end), std::move(read_end)}
                  : Pipe{std::move(read_end), std::move(write_end)};
}

/// The three streams of the process, as it has them.
struct Stdio {
  UniqueFd in, out, err;
};

Result<Stdio> null_stdio() {
  Stdio stdio;
  NX_TRY(stdio.in, sys::open_at(AT_FDCWD, "/dev/null", O_RDWR));
  NX_TRY(stdio.out, sys::open_at(AT_FDCWD, "/dev/null", O_RDWR));
  NX_TRY(stdio.err, sys::open_at(AT_FDCWD, "/dev/null", O_RDWR));
  return stdio;
}

/// The life of the copy of the agent. All that is not its own goes with the first exec, or now.
[[noreturn]] void be_process(const Stdio& stdio, int channel, bool first) {
  if (::dup2(stdio.in.get(), 0) < 0 || ::dup2(stdio.out.get(), 1) < 0 ||
      ::dup2(stdio.err.get(), 2) < 0)
    ::_exit(1);
  constexpr int kChannel = 3;
  if (channel != kChannel && ::dup2(channel, kChannel) < 0) ::_exit(1);
  (void)::close_range(kChannel + 1, ~0u, 0);
  // Here and not by clone: the namespace's root is the group one is in.
  if (first && ::unshare(CLONE_NEWCGROUP) < 0) ::_exit(1);
  ::_exit(run_first_process(kChannel));
}

Result<pid_t> clone_process(bool first, const Stdio& stdio, int channel) {
  NX_TRY(UniqueFd group, sys::open_at(AT_FDCWD, kCgroup, O_RDONLY | O_DIRECTORY));
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP | (first ? CLONE_NEWNS | CLONE_NEWPID : 0);
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<std::uint64_t>(group.get());
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail_errno("clone a process");
  if (pid == 0) be_process(stdio, channel, first);
  return static_cast<pid_t>(pid);
}

bool ends_by_default(int signal) {
  return signal != SIGCHLD && signal != SIGCONT && signal != SIGURG && signal != SIGWINCH &&
         signal != SIGSTOP && signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU;
}

}  // namespace

Result<Session> Session::launch(Launch launch) {
  Session session(std::move(launch));
  const bool first = session.id() == vm::protocol::kContainerSession;
  Stdio stdio;
  if (session.launch_.terminal) {
    NX_TRY(stdio, null_stdio());
  } else {
    NX_TRY(Pipe in, make_pipe(true));
    NX_TRY(Pipe out, make_pipe(false));
    NX_TRY(Pipe err, make_pipe(false));
    session.in_ = std::move(in.ours);
    session.out_ = std::move(out.ours);
    session.err_ = std::move(err.ours);
    stdio = {
        .in = std::move(in.theirs), .out = std::move(out.theirs), .err = std::move(err.theirs)};
  }
  NX_TRY(sys::SocketPair channel, sys::socket_pair());
  NX_TRY(session.pid_, clone_process(first, stdio, channel.second.get()));
  session.channel_ = std::move(channel.first);
  return session;
}

void Session::send_plan() {
  constexpr std::size_t kBatch = 128;  // below the kernel's SCM_MAX_FD
  auto bytes = sys::sealed_data(launch_.plan, "plan");
  // A process that is not told what to do ends when the channel is closed.
  if (!bytes) return channel_.reset();
  const auto count = static_cast<std::uint32_t>(launch_.fds.size());
  const std::string_view number(reinterpret_cast<const char*>(&count), sizeof count);
  if (!send(channel_.get(), MessageKind::go, number, bytes->get())) return;
  for (std::size_t at = 0; at < launch_.fds.size(); at += kBatch) {
    std::vector<int> batch;
    for (std::size_t i = at; i < std::min(launch_.fds.size(), at + kBatch); ++i)
      batch.push_back(launch_.fds[i].get());
    const char kind = static_cast<char>(MessageKind::fds);
    if (!sys::send_message(channel_.get(), std::string_view(&kind, 1), batch)) return;
  }
  launch_.fds.clear();
  launch_.plan.clear();
}

void Session::on_hello(pid_t sender) {
  if (sender == pid_) {
    entered_ = id() == vm::protocol::kContainerSession;
    return send_plan();
  }
  // It has entered the container's namespaces and goes on as another process.
  (void)::waitpid(pid_, nullptr, __WALL);
  pid_ = sender;
  status_.reset();
  entered_ = true;
}

void Session::on_end_of_channel(Mux& mux) {
  channel_.reset();
  if (failed_ || !entered_ || (id() == vm::protocol::kContainerSession && !started_)) return;
  mux.send(Type::started, id(), encode(vm::protocol::Started{.pid = own_pid_}));
}

void Session::catch_up(Mux& mux) {
  pollfd channel{.fd = channel_.get(), .events = POLLIN, .revents = 0};
  while (channel_ && ::poll(&channel, 1, 0) > 0) on_channel(mux);
}

void Session::on_channel(Mux& mux) {
  auto message = sys::receive_message(channel_.get());
  if (!message || message->data.empty()) return on_end_of_channel(mux);
  const std::string_view content = std::string_view(message->data).substr(1);
  switch (static_cast<MessageKind>(message->data[0])) {
    case MessageKind::hello:
      // As it sees itself: in the container's pid namespace, once it is there.
      if (content.size() == sizeof own_pid_)
        std::memcpy(&own_pid_, content.data(), sizeof own_pid_);
      return on_hello(message->sender.value_or(pid_));
    case MessageKind::terminal:
      if (message->fds.empty()) return;
      out_ = std::move(message->fds.front());
      // The terminal that people look at turns lines, as with every other container.
      (void)sys::disable_onlcr(out_.get());
      (void)::fcntl(out_.get(), F_SETFL, O_RDWR | O_NONBLOCK);
      in_.reset(::fcntl(out_.get(), F_DUPFD_CLOEXEC, 0));
      return;
    case MessageKind::mounted:
      (void)send(channel_.get(), MessageKind::proceed);
      return;
    case MessageKind::ready:
      waits_ = true;
      return mux.send(Type::prepared, id());
    case MessageKind::failed:
      failed_ = true;
      return mux.send(Type::error, id(), content.substr(0, vm::protocol::kMaxPayload));
    default:
      return;
  }
}

Result<> Session::start() {
  if (!waits_) return fail(Errc::InvalidState, "the container does not wait for start");
  waits_ = false;
  started_ = true;
  return send(channel_.get(), MessageKind::proceed);
}

void Session::send_signal(int number) {
  if (ended()) return;
  if (waits_ && ends_by_default(number)) {
    // The first process of a pid namespace ignores what it has no handler for, and this one has
    // none yet: a container that waits must still be stoppable by an ordinary signal.
    ended_by_ = number;
    number = SIGKILL;
  }
  (void)::kill(pid_, number);
}

void Session::resize(vm::protocol::WindowSize size) {
  if (!launch_.terminal || !out_) return;
  (void)sys::set_window_size(out_.get(), {.rows = size.rows, .columns = size.columns});
}

void Session::on_input(Mux& mux) {
  while (!input_.empty()) {
    const ssize_t n = ::write(in_.get(), input_.data(), input_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    // Nobody reads any more: what comes is thrown away, and the sender is not held up.
    const std::size_t done = n < 0 ? input_.size() : static_cast<std::size_t>(n);
    input_.erase(0, done);
    mux.consumed(id(), Stream::in, done);
  }
  // A terminal has no end of input: what is typed there is the user's.
  if (input_ended_ && !launch_.terminal) in_.reset();
  input_ended_ = false;
}

UniqueFd& Session::output_fd(Stream stream) { return stream == Stream::out ? out_ : err_; }

int Session::output(const Mux& mux, Stream stream) const {
  const UniqueFd& fd = stream == Stream::out ? out_ : err_;
  const bool may_send = mux.window(id(), stream) > 0 && mux.pending().size() < kEnoughPending;
  return may_send ? fd.get() : -1;
}

void Session::on_output(Mux& mux, Stream stream) {
  UniqueFd& fd = output_fd(stream);
  std::array<char, kPortion - 1> buffer;
  const std::size_t most = std::min(buffer.size(), mux.window(id(), stream));
  if (!fd || most == 0) return;
  const ssize_t n = ::read(fd.get(), buffer.data(), most);
  if (n > 0)
    return mux.send_data(id(), stream,
                         std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  // The end, which a terminal tells with EIO.
  fd.reset();
  mux.send_eof(id(), stream);
}

/// The process has ended: what it has written is sent, what its own children may still write is not
/// waited for.
void Session::drain(Mux& mux, Stream stream) {
  UniqueFd& fd = output_fd(stream);
  while (fd && mux.window(id(), stream) > 0) {
    const std::size_t before = mux.window(id(), stream);
    on_output(mux, stream);
    if (!fd || mux.window(id(), stream) != before) continue;
    fd.reset();
    mux.send_eof(id(), stream);
  }
}

bool Session::finish(Mux& mux) {
  if (!ended() || channel_) return false;
  if (failed_) return true;
  if (!entered_) {
    const Error error(Errc::LXCError, "the process ended before it was in the container");
    mux.send(Type::error, id(), encode(failure_of(error, -1)));
    return true;
  }
  drain(mux, Stream::out);
  drain(mux, Stream::err);
  if (out_ || err_) return false;
  vm::protocol::Exit exit{.out_of_memory = out_of_memory_kills() > 0};
  if (WIFSIGNALED(*status_)) {
    exit.signal = static_cast<std::uint32_t>(ended_by_ != 0 ? ended_by_ : WTERMSIG(*status_));
  } else {
    exit.code = static_cast<std::uint32_t>(WEXITSTATUS(*status_));
  }
  mux.send(Type::exit, id(), encode(exit));
  return true;
}

}  // namespace nexcage::init::agent
