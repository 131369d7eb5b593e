#include "nexcage/sys/id_map.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::sys {
namespace {

std::string lines_of(const std::vector<IdRange>& ranges) {
  std::string text;
  for (const IdRange& range : ranges)
    text += std::to_string(range.inside) + " " + std::to_string(range.outside) + " " +
            std::to_string(range.count) + "\n";
  return text;
}

/// A process in a new user namespace that only waits to be killed. It shares nothing with us that
/// it could change, and calls nothing of libc.
Result<Child> idle_in_user_namespace() {
  const pid_t parent = ::getpid();
  clone_args args{};
  args.flags = CLONE_NEWUSER;
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail_errno("make a user namespace for id maps");
  if (pid == 0) {
    (void)::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::syscall(SYS_getppid) != parent && ::syscall(SYS_getppid) != 0) ::syscall(SYS_exit, 1);
    for (;;) (void)::syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  }
  return Child::adopt(static_cast<pid_t>(pid));
}

/// A map is taken by the kernel in one write(2) only.
Result<> write_map(pid_t pid, const char* file, const std::vector<IdRange>& ranges) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + file;
  NX_TRY(UniqueFd map, open_at(AT_FDCWD, path, O_WRONLY));
  NX_CHECK(write_all(map.get(), lines_of(ranges)), std::string("write ") + file);
  return {};
}

}  // namespace

Result<UniqueFd> make_user_namespace(const std::vector<IdRange>& uids,
                                     const std::vector<IdRange>& gids) {
  NX_TRY(Child idle, idle_in_user_namespace());
  NX_CHECK(write_map(idle.pid(), "uid_map", uids));
  NX_CHECK(write_map(idle.pid(), "gid_map", gids));
  return open_at(AT_FDCWD, "/proc/" + std::to_string(idle.pid()) + "/ns/user", O_RDONLY);
}

Result<> map_ids(int mount, int user_namespace, Recursive recursive) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(user_namespace);
  const int flags = AT_EMPTY_PATH | (recursive == Recursive::yes ? AT_RECURSIVE : 0);
  if (::mount_setattr(mount, "", static_cast<unsigned>(flags), &attributes, sizeof attributes) == 0)
    return {};
  if (errno == EINVAL)
    return fail(Error::from_errno(Errc::Unsupported, EINVAL, "map the ids of a mount")
                    .hint("the file system of the source may not support id-mapped mounts"));
  return fail_errno("map the ids of a mount");
}

}  // namespace nexcage::sys
