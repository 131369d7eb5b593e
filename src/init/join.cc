// Entering a running container, and the small operations on the process's own surroundings.
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "nexcage/init/channel.h"
#include "nexcage/init/context.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/link.h"

namespace nexcage::init {
namespace {

/// Goes on in a new process that is a child of our parent, so that the runtime's caller can wait
/// for it. The pid namespace joined by setns begins with this child (pid_namespaces(7)).
Result<> continue_in_sibling() {
  clone_args args{};
  args.flags =
      CLONE_PARENT;  // the exit signal is the parent's choice and must be 0 here (clone(2))
  long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail_errno("clone into the pid namespace");
  if (pid > 0) ::_exit(0);
  return {};
}

}  // namespace

Result<> apply(const sys::plan::NewKeyring&, Context&) {
  // Without a name: a keyring nobody else can join. ENOSYS: a kernel without keyrings needs none.
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS)
    return fail_errno("join a new session keyring");
  return {};
}

Result<> apply(const sys::plan::EnterTimeNamespace& operation, Context& context) {
  if (::unshare(CLONE_NEWTIME) < 0) return fail_errno("make a time namespace");
  NX_TRY(int procfs, context.procfs());
  NX_TRY(UniqueFd offsets, sys::open_at(procfs, "self/timens_offsets", O_WRONLY), "clock offsets");
  auto line = [](std::string_view clock, std::int64_t seconds, std::uint32_t nanoseconds) {
    return std::string(clock) + " " + std::to_string(seconds) + " " + std::to_string(nanoseconds) +
           "\n";
  };
  const std::string text =
      line("monotonic", operation.monotonic_seconds, operation.monotonic_nanoseconds) +
      line("boottime", operation.boottime_seconds, operation.boottime_nanoseconds);
  NX_CHECK(sys::write_all(offsets.get(), text), "clock offsets");
  // unshare moves only later children into it.
  NX_TRY(UniqueFd fresh, sys::open_at(procfs, "self/ns/time_for_children", O_RDONLY));
  if (::setns(fresh.get(), CLONE_NEWTIME) < 0) return fail_errno("enter the time namespace");
  return {};
}

Result<> apply(const sys::plan::SetUpLink& operation, Context&) {
  std::vector<sys::LinkAddress> addresses;
  addresses.reserve(operation.addresses.size());
  for (const sys::plan::Address& address : operation.addresses)
    addresses.push_back({.family = address.family,
                         .prefix = address.prefix,
                         .local = address.local,
                         .broadcast = address.broadcast});
  return sys::set_up_link(operation.name, addresses);
}

Result<> apply(const sys::plan::SetHostname& operation, Context&) {
  if (::sethostname(operation.name.c_str(), operation.name.size()) < 0)
    return fail_errno("set the host name");
  return {};
}

Result<> apply(const sys::plan::SetDomainname& operation, Context&) {
  if (::setdomainname(operation.name.c_str(), operation.name.size()) < 0)
    return fail_errno("set the domain name");
  return {};
}

Result<> apply(const sys::plan::SetSysctl& operation, Context& context) {
  const std::string what = "sysctl " + operation.file;
  NX_TRY(int procfs, context.procfs(), what);
  NX_TRY(UniqueFd file, sys::open_beneath(procfs, "sys/" + operation.file, O_WRONLY), what);
  NX_CHECK(sys::write_all(file.get(), operation.value), what);
  return {};
}

Result<> apply(const sys::plan::JoinNamespaces& operation, Context& context) {
  NX_TRY(int pidfd, context.fd(operation.fd));
  NX_TRY(int root, context.fd(operation.root_fd));
  if (operation.flags != 0 && ::setns(pidfd, static_cast<int>(operation.flags)) < 0)
    return fail_errno("join the container's namespaces");
  if ((operation.flags & CLONE_NEWUSER) != 0) {
    // The caller's ids mean nothing in there; its root does. setgroups may be denied: no groups
    // then.
    (void)::setgroups(0, nullptr);
    if (::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0)
      return fail_errno("become root of the container's user namespace");
  }
  if (::fchdir(root) < 0 || ::chroot(".") < 0) return fail_errno("enter the container's root");
  NX_CHECK(continue_in_sibling());
  context.root.reset(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!context.root) return fail_errno("open the container's /");
  return send_hello(context.channel.get());
}

Result<> apply(const sys::plan::SetRlimit& operation, Context&) {
  const rlimit value{.rlim_cur = operation.soft, .rlim_max = operation.hard};
  if (::setrlimit(static_cast<__rlimit_resource>(operation.resource), &value) < 0)
    return fail_errno("process.rlimits: set limit " + std::to_string(operation.resource));
  return {};
}

Result<> apply(const sys::plan::WaitForRuntime&, Context& context) {
  NX_CHECK(send(context.channel.get(), sys::plan::MessageKind::mounted));
  return await(context.channel.get(), sys::plan::MessageKind::proceed);
}

namespace {

extern "C" void end_waiting(int signal) { ::_exit(128 + signal); }

/// The first process of a pid namespace ignores what it does not handle; a container that waits for
/// `start` must still be stoppable by an ordinary signal.
void handle_signals(void (*handler)(int)) {
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM})
    (void)::signal(signal, handler);
}

Result<UniqueFd> accept_start(int listener, std::uint32_t peer_uid) {
  for (;;) {
    UniqueFd peer(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer && errno != EINTR && errno != ECONNABORTED) return fail_errno("wait for start");
    ucred who{};
    socklen_t size = sizeof who;
    if (peer && ::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
        who.uid == peer_uid)
      return peer;
  }
}

}  // namespace

Result<> apply(const sys::plan::WaitForStart& operation, Context& context) {
  int listener = -1;
  if (operation.fd != sys::plan::kNoFd) {
    NX_TRY(listener, context.fd(operation.fd));
    handle_signals(end_waiting);
  }
  NX_CHECK(send(context.channel.get(), sys::plan::MessageKind::ready));
  if (listener < 0) return await(context.channel.get(), sys::plan::MessageKind::proceed);
  context.channel.reset();
  NX_TRY(context.channel, accept_start(listener, operation.peer_uid));
  handle_signals(SIG_DFL);
  context.fds.clear();
  return {};
}

}  // namespace nexcage::init
