// The last steps: from the container's root with all capabilities to the user's program.
#include "nexcage/init/execute.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "nexcage/base/text.h"
#include "nexcage/init/context.h"
#include "nexcage/sys/fs.h"

namespace nexcage::init {
namespace {

using sys::plan::Process;

constexpr std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }

Result<> enter_terminal(Context& context) {
  // Leading a session already (liblxc sees to that) is no failure: EPERM.
  (void)::setsid();
  if (!context.terminal) return {};
  if (::ioctl(context.terminal.get(), TIOCSCTTY, 0) < 0) return fail_errno("take the terminal");
  return {};
}

/// The user may open its own standard streams again (/dev/stdout). /dev/null belongs to everybody
/// and stays as it is.
void give_stdio(const Process& process) {
  for (int fd : {0, 1, 2}) {
    struct stat info{};
    if (::fstat(fd, &info) < 0 || info.st_uid == process.uid) continue;
    if (S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3)) continue;
    // File systems without owners refuse, and so do owners outside of a user namespace: then the
    // stream is used as it is.
    if (::fchown(fd, process.uid, info.st_gid) < 0) continue;
  }
}

struct SchedAttr {
  std::uint32_t size = sizeof(SchedAttr);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

Result<> set_scheduling(const Process& process) {
  const sys::plan::Scheduler& wanted = process.scheduler;
  if (wanted.set) {
    SchedAttr attr{.policy = wanted.policy,
                   .flags = wanted.flags,
                   .nice = wanted.nice,
                   .priority = wanted.priority,
                   .runtime = wanted.runtime,
                   .deadline = wanted.deadline,
                   .period = wanted.period};
    if (::syscall(SYS_sched_setattr, 0, &attr, 0) < 0) return fail_errno("set the scheduler");
  }
  constexpr int kWhoProcess = 1;
  if (process.io_priority >= 0 &&
      ::syscall(SYS_ioprio_set, kWhoProcess, 0, process.io_priority) < 0)
    return fail_errno("set the I/O priority");
  if (process.personality != UINT64_MAX && ::personality(process.personality) < 0)
    return fail_errno("set the personality");
  if (process.memory_policy == 0 && process.memory_nodes.empty()) return {};
  const char* nodes = process.memory_nodes.empty() ? nullptr : process.memory_nodes.data();
  // maxnode counts one more than the bits that are read (set_mempolicy(2), BUGS).
  if (::syscall(SYS_set_mempolicy, process.memory_policy, nodes,
                process.memory_nodes.size() * 8 + 1) < 0)
    return fail_errno("set the memory policy");
  return {};
}

Result<> set_label(const Process& process, Context& context) {
  if (process.label.empty()) return {};
  NX_TRY(int procfs, context.procfs());
  NX_TRY(UniqueFd file, sys::open_at(procfs, "self/" + process.label_file, O_WRONLY),
         "security label");
  NX_CHECK(sys::write_all(file.get(), process.label), "security label " + process.label);
  return {};
}

Result<> drop_bounding(std::uint64_t keep) {
  for (int capability = 0; capability < 64; ++capability) {
    if ((keep & bit(capability)) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
      if (errno == EINVAL) break;  // beyond what this kernel knows
      return fail_errno("drop a capability from the bounding set");
    }
  }
  return {};
}

Result<> set_capabilities(std::uint64_t permitted, std::uint64_t effective,
                          std::uint64_t inheritable) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].permitted = static_cast<std::uint32_t>(permitted >> (32 * half));
    data[half].effective = static_cast<std::uint32_t>(effective >> (32 * half));
    data[half].inheritable = static_cast<std::uint32_t>(inheritable >> (32 * half));
  }
  if (::syscall(SYS_capset, &header, data) < 0) return fail_errno("apply the capabilities");
  return {};
}

Result<> change_user(const Process& process) {
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return fail_errno("keep capabilities");
  if (process.set_groups && ::setgroups(process.groups.size(), process.groups.data()) < 0)
    return fail_errno("set the additional groups");
  if (::setresgid(process.gid, process.gid, process.gid) < 0)
    return fail_errno("become group " + std::to_string(process.gid));
  if (::setresuid(process.uid, process.uid, process.uid) < 0)
    return fail_errno("become user " + std::to_string(process.uid));
  ::umask(process.umask);
  return {};
}

Result<> raise_ambient(std::uint64_t ambient) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return fail_errno("clear ambient capabilities");
  for (int capability = 0; capability < 64; ++capability)
    if ((ambient & bit(capability)) != 0 &&
        ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
      return fail_errno("raise an ambient capability");
  return {};
}

/// User, capabilities, filter. A filter without no_new_privs needs CAP_SYS_ADMIN; it is kept until
/// the filter is in place, so that the filter need not allow what comes before.
Result<> drop_privileges(Context& context) {
  const Process& process = context.plan.process;
  const bool admin_for_filter = !process.seccomp.empty() && !process.no_new_privileges;
  if (process.set_capabilities) NX_CHECK(drop_bounding(process.bounding));
  NX_CHECK(change_user(process));
  const std::uint64_t extra = admin_for_filter ? bit(CAP_SYS_ADMIN) : 0;
  if (process.set_capabilities) {
    NX_CHECK(set_capabilities(process.permitted | extra, process.effective | extra,
                              process.inheritable));
    NX_CHECK(raise_ambient(process.ambient));
  }
  if (context.cwd_denied) NX_CHECK(enter_cwd(context));
  (void)::close_range(3 + process.preserve_fds, ~0u, CLOSE_RANGE_CLOEXEC);
  NX_CHECK(load_seccomp(context));
  if (process.set_capabilities && (extra & ~(process.permitted & process.effective)) != 0)
    NX_CHECK(set_capabilities(process.permitted, process.effective, process.inheritable));
  return {};
}

/// The user's home in the container's passwd file; "/" when it has none.
std::string home_of(const Context& context) {
  constexpr std::size_t kMaxPasswd = 4u << 20;
  auto file = sys::open_in_root(context.root.get(), "/etc/passwd", O_RDONLY | O_NONBLOCK);
  if (!file) return "/";
  auto text = sys::read_all(file->get(), kMaxPasswd);
  if (!text) return "/";
  for (const std::string& line : split(*text, '\n')) {
    std::vector<std::string> field = split(line, ':');
    if (field.size() >= 6 && parse_u64(field[2]) == context.plan.process.uid && !field[5].empty())
      return field[5];
  }
  return "/";
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

Result<> prepare(Context& context) {
  Process& process = context.plan.process;
  bool has_home = false;
  for (const std::string& variable : process.env)
    has_home = has_home || variable.starts_with("HOME=");
  if (!has_home) process.env.push_back("HOME=" + home_of(context));
  NX_CHECK(enter_terminal(context));
  give_stdio(process);
  NX_CHECK(set_scheduling(process));
  return set_label(process, context);
}

}  // namespace

Error execute(Context& context) {
  if (auto done = prepare(context); !done) return std::move(done).error();
  std::vector<char*> args = pointers(context.plan.process.args);
  std::vector<char*> env = pointers(context.plan.process.env);
  if (auto done = drop_privileges(context); !done) return std::move(done).error();
  ::execve(context.program.c_str(), args.data(), env.data());
  return Error::from_errno(Errc::LXCError, errno, "exec " + context.program);
}

}  // namespace nexcage::init
