// Child processes: one clone that shares our memory until exec (as vfork does), so the cost does
// not grow with our size, and errors of the child come back in a variable.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>

#include "nexcage/sys/child_parts.h"
#include "nexcage/sys/exec_parts.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

// The child runs on a stack and in a process that the sanitizers know nothing of.
#define NX_IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread"), noinline))

namespace nexcage::sys {
namespace {

constexpr int kExecFailed = 127;

enum class Step : std::uint8_t { none, privileges, parent, signals, group, cwd, descriptors, exec };

struct FdRange {
  unsigned first, last;
};

/// All that the child needs, as plain data: it may neither allocate nor take a lock.
struct ChildPlan {
  const char* path = nullptr;
  int exec_fd = -1;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  const char* cwd = nullptr;
  const std::pair<int, int>* fds = nullptr;
  int* moved = nullptr;  // room for one number for each of `fds`
  std::size_t fd_count = 0;
  int first_free = 3;  // above all numbers that the child is to have
  const FdRange* closed = nullptr;
  std::size_t closed_count = 0;
  bool new_session = false, new_process_group = false, die_with_parent = false;
  bool reset_signals = true;
  const Unprivileged* unprivileged = nullptr;
  pid_t parent = 0;
  std::uint64_t mask = 0;  // what exec is to see
  // Answers; the parent reads them when the child has ended or become another program.
  volatile Step failed = Step::none;
  volatile int error = 0;
};

/// The kernel's struct sigaction; only its first member is looked at.
struct KernelAction {
  void (*handler)(int) = SIG_DFL;
  std::uint64_t rest[4] = {};
};

/// No handler of ours may run in the child: it would see our memory and think that it is us.
NX_IN_CHILD bool default_signals(const ChildPlan& plan) {
  for (int signal = 1; signal <= 64; ++signal) {
    KernelAction action;
    if (::syscall(SYS_rt_sigaction, signal, nullptr, &action, sizeof plan.mask) != 0) return false;
    if (action.handler == SIG_DFL) continue;
    if (action.handler == SIG_IGN && !plan.reset_signals) continue;
    action = KernelAction();
    if (::syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof plan.mask) != 0) return false;
  }
  return true;
}

/// By bare system calls: those of libc would change the threads of our parent, too.
NX_IN_CHILD bool give_up_privileges(const Unprivileged& wanted) {
  // EPERM: who lacks CAP_SETPCAP has no_new_privs below, which does not give them back either.
  for (int capability = 0; ::syscall(SYS_prctl, PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
       ++capability)
    if (::syscall(SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM)
      return false;
  if (::syscall(SYS_setgroups, wanted.groups.size(), wanted.groups.data()) != 0 ||
      ::syscall(SYS_setresgid, wanted.group, wanted.group, wanted.group) != 0 ||
      ::syscall(SYS_setresuid, wanted.user, wanted.user, wanted.user) != 0)
    return false;
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capset, &header, none) == 0 &&
         ::syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

NX_IN_CHILD bool join_group(const ChildPlan& plan) {
  if (plan.new_session) return ::syscall(SYS_setsid) >= 0;
  return !plan.new_process_group || ::syscall(SYS_setpgid, 0, 0) == 0;
}

/// Everything goes to numbers above the wanted ones first: so no source is overwritten before it
/// was copied, whatever the numbers are.
NX_IN_CHILD bool place_descriptors(ChildPlan& plan) {
  for (std::size_t i = 0; i < plan.fd_count; ++i) {
    const long fd = ::syscall(SYS_fcntl, plan.fds[i].first, F_DUPFD_CLOEXEC, plan.first_free);
    if (fd < 0) return false;
    plan.moved[i] = static_cast<int>(fd);
  }
  if (plan.exec_fd >= 0) {
    const long fd = ::syscall(SYS_fcntl, plan.exec_fd, F_DUPFD_CLOEXEC, plan.first_free);
    if (fd < 0) return false;
    plan.exec_fd = static_cast<int>(fd);
  }
  for (std::size_t i = 0; i < plan.fd_count; ++i)
    if (::syscall(SYS_dup3, plan.moved[i], plan.fds[i].second, 0) < 0) return false;
  for (std::size_t i = 0; i < plan.closed_count; ++i)
    if (::syscall(SYS_close_range, plan.closed[i].first, plan.closed[i].last,
                  CLOSE_RANGE_CLOEXEC) != 0)
      return false;
  return true;
}

NX_IN_CHILD Step prepare_child(ChildPlan& plan) {
  // First: a change of who we are takes the parent's death signal back (prctl(2)).
  if (plan.unprivileged != nullptr && !give_up_privileges(*plan.unprivileged))
    return Step::privileges;
  if (plan.die_with_parent) {
    if (::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return Step::parent;
    // The parent may have died before; then nobody would ever send the signal. 0 is a parent in
    // another pid namespace (setns before the start).
    const long parent = ::syscall(SYS_getppid);
    if (parent != 0 && parent != plan.parent) ::syscall(SYS_exit_group, kExecFailed);
  }
  if (!default_signals(plan)) return Step::signals;
  if (!join_group(plan)) return Step::group;
  if (plan.cwd != nullptr && ::syscall(SYS_chdir, plan.cwd) != 0) return Step::cwd;
  if (!place_descriptors(plan)) return Step::descriptors;
  if (::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &plan.mask, nullptr, sizeof plan.mask) != 0)
    return Step::signals;
  return Step::none;
}

NX_IN_CHILD int child_main(void* argument) {
  auto& plan = *static_cast<ChildPlan*>(argument);
  Step failed = prepare_child(plan);
  if (failed == Step::none) {
    if (plan.exec_fd >= 0)
      ::syscall(SYS_execveat, plan.exec_fd, "", plan.argv, plan.envp, AT_EMPTY_PATH);
    else
      ::syscall(SYS_execve, plan.path, plan.argv, plan.envp);
    failed = Step::exec;
  }
  plan.error = errno;
  plan.failed = failed;
  ::syscall(SYS_exit_group, kExecFailed);
  return kExecFailed;
}

/// clone3(2) with a stack of the child's own, which libc has no function for: the child calls
/// child_main(argument) and does not come back. Negative errno for errors.
NX_IN_CHILD long clone_with_stack(clone_args& arguments, ChildPlan* plan) {
#ifdef __x86_64__
  long result = SYS_clone3;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %[plan], %%rdi\n\t"
      "call *%[main]\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof arguments), [plan] "r"(plan), [main] "r"(&child_main)
      : "rcx", "r11", "memory");
  return result;
#else
  (void)arguments, (void)plan;
  return -ENOSYS;
#endif
}

/// Who ignores SIGCHLD gets no exit status (waitpid(2)), and our caller may have made us ignore it.
void notice_children() {
  struct sigaction action{};
  if (::sigaction(SIGCHLD, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
    (void)::signal(SIGCHLD, SIG_DFL);
}

/// The numbers between those that the child keeps.
std::vector<FdRange> ranges_to_close(const Command& command) {
  if (command.keep_all) return {};
  std::vector<unsigned> kept = {0, 1, 2};
  for (const auto& [ours, theirs] : command.fds) kept.push_back(static_cast<unsigned>(theirs));
  for (int i = 0; command.keep_from >= 0 && i < command.keep_count; ++i)
    kept.push_back(static_cast<unsigned>(command.keep_from) + static_cast<unsigned>(i));
  std::ranges::sort(kept);
  std::vector<FdRange> gaps;
  unsigned next = 0;
  for (unsigned fd : kept) {
    if (fd > next) gaps.push_back({next, fd - 1});
    next = std::max(next, fd + 1);
  }
  gaps.push_back({next, UINT_MAX});
  return gaps;
}

int first_free_number(const Command& command) {
  int highest = 2;
  for (const auto& [ours, theirs] : command.fds) highest = std::max(highest, theirs);
  return highest + 1;
}

Error spawn_error(const ChildPlan& plan, const Command& command, const std::string& program) {
  const int error = plan.error;
  switch (plan.failed) {
    case Step::privileges:
      return Error::from_errno(error, "give up privileges for " + program);
    case Step::cwd:
      return Error::from_errno(error, "change to directory " + command.cwd);
    case Step::descriptors:
      return Error::from_errno(error, "pass descriptors to " + program);
    case Step::exec:
      if (error == ENOENT || error == ENOTDIR)
        return Error::from_errno(Errc::RuntimeNotAvailable, error, "execute " + program)
            .hint("check that " + program + " and its interpreter are installed");
      return Error::from_errno(error, "execute " + program);
    default:
      return Error::from_errno(error, "prepare the process of " + program);
  }
}

/// Kernels before 5.7 have no CLONE_INTO_CGROUP, and filters that do not know clone3 say ENOSYS.
bool knows_no_clone_into(long error) {
  return error == -ENOSYS || error == -EINVAL || error == -E2BIG;
}

/// Starts child_main; its pid, or -1 with errno.
pid_t clone_child(const Stack& stack, ChildPlan& plan, int cgroup, int& pidfd, bool& in_cgroup) {
  // CLONE_VFORK: we go on when the child has become another program or has ended.
  constexpr int kFlags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
  if (cgroup >= 0) {
    clone_args arguments{};
    arguments.flags = kFlags | CLONE_INTO_CGROUP;
    arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    arguments.stack = reinterpret_cast<std::uintptr_t>(stack.base());
    arguments.stack_size = Stack::kSize;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup);
    const long pid = clone_with_stack(arguments, &plan);
    in_cgroup = pid > 0;
    if (pid > 0) return static_cast<pid_t>(pid);
    if (!knows_no_clone_into(pid)) {
      errno = static_cast<int>(-pid);
      return -1;
    }
  }
  return ::clone(child_main, stack.top(), kFlags | SIGCHLD, &plan, &pidfd);
}

int reap(pid_t pid, int flags, int* status) {
  pid_t got = -1;
  do got = ::waitpid(pid, status, flags | __WALL);
  while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

Child::Child(pid_t pid, UniqueFd pidfd, bool group)
    : pid_(pid), pidfd_(std::move(pidfd)), group_(group) {}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      pidfd_(std::move(other.pidfd_)),
      group_(other.group_),
      in_cgroup_(other.in_cgroup_),
      status_(std::exchange(other.status_, std::nullopt)) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this == &other) return *this;
  kill_and_wait();
  pid_ = std::exchange(other.pid_, 0);
  pidfd_ = std::move(other.pidfd_);
  group_ = other.group_;
  in_cgroup_ = other.in_cgroup_;
  status_ = std::exchange(other.status_, std::nullopt);
  return *this;
}

Child::~Child() { kill_and_wait(); }

Result<Child> Child::spawn(const Command& command) {
  if (command.argv.empty()) return fail(Errc::FileError, "start a program: no arguments");
  NX_TRY(const std::string program, program_of(command));
  const std::vector<char*> argv = pointers(command.argv);
  const std::vector<char*> envp = environment(command);
  const std::vector<FdRange> gaps = ranges_to_close(command);
  std::vector<int> moved(command.fds.size());
  NX_TRY(const Stack stack, Stack::make());
  notice_children();

  ChildPlan plan;
  plan.path = program.c_str();
  plan.exec_fd = command.exec_fd;
  plan.argv = argv.data();
  plan.envp = envp.data();
  plan.cwd = command.cwd.empty() ? nullptr : command.cwd.c_str();
  plan.fds = command.fds.data();
  plan.moved = moved.data();
  plan.fd_count = command.fds.size();
  plan.first_free = first_free_number(command);
  plan.closed = gaps.data();
  plan.closed_count = gaps.size();
  plan.new_session = command.new_session;
  plan.new_process_group = command.new_process_group;
  plan.die_with_parent = command.die_with_parent;
  plan.reset_signals = command.reset_signals;
  plan.unprivileged = command.unprivileged ? &*command.unprivileged : nullptr;
  plan.parent = ::getpid();

  int pidfd = -1;
  pid_t pid = -1;
  bool in_cgroup = false;
  const int dumpable = ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  {
    const BlockedSignals blocked;
    plan.mask = command.reset_signals ? 0 : blocked.before();
    pid = clone_child(stack, plan, command.cgroup, pidfd, in_cgroup);
  }
  if (pid < 0) return fail_errno("start " + program);
  UniqueFd owned(pidfd);
  // A change of user has our memory, which the child had too, hidden from others (prctl(2)).
  if (command.unprivileged && dumpable == 1) (void)::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  if (plan.failed == Step::none) {
    Child child(pid, std::move(owned), command.new_session || command.new_process_group);
    child.in_cgroup_ = in_cgroup;
    return child;
  }
  (void)reap(pid, 0, nullptr);
  return fail(spawn_error(plan, command, program));
}

Result<Child> Child::adopt(pid_t pid) {
  siginfo_t info{};
  if (pid <= 0) return fail_errno(ECHILD, "take over a child");
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0)
    return fail_errno("take over process " + std::to_string(pid));
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail_errno("open process " + std::to_string(pid));
  return Child(pid, std::move(pidfd), false);
}

Result<int> Child::wait() {
  if (status_) return *status_;
  int status = 0;
  if (pid_ <= 0) return fail_errno(ECHILD, "wait for a child");
  if (reap(pid_, 0, &status) < 0) return fail_errno("wait for a child");
  status_ = status;
  return status;
}

Result<std::optional<int>> Child::wait_for(std::chrono::milliseconds timeout) {
  if (!status_) {
    NX_TRY(const bool ended, wait_exit(pidfd_.get(), timeout));
    if (!ended) return std::nullopt;
  }
  NX_TRY(const int status, wait());
  return status;
}

void Child::kill_and_wait() {
  if (pid_ <= 0 || status_) return;
  // Not reaped yet, so the number is still ours, as a group's too.
  if (group_) (void)::kill(-pid_, SIGKILL);
  (void)send_signal(pidfd_.get(), SIGKILL);
  (void)wait();
}

pid_t Child::release() {
  pidfd_.reset();
  status_.reset();
  return std::exchange(pid_, 0);
}

}  // namespace nexcage::sys
