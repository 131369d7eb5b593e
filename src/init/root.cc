// Operations on the root as a whole: entering it, pivoting into it, its last attributes.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nexcage/init/context.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::init {

Result<int> Context::fd(std::uint32_t index) const {
  if (index >= fds.size()) return fail(Errc::InvalidConfig, "a descriptor of the plan is missing");
  return fds[index].get();
}

Result<int> Context::procfs() {
  if (!procfs_) {
    NX_TRY(procfs_,
           sys::new_mount("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV),
           "private procfs");
    NX_TRY(bool is_proc, sys::is_fs(procfs_.get(), PROC_SUPER_MAGIC));
    if (!is_proc) return fail(Errc::LXCError, "the private procfs is none");
  }
  return procfs_.get();
}

Result<UniqueFd> clone_of(int fd, bool recursive, const std::string& what) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
                         (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0u);
  UniqueFd clone(::open_tree(fd, "", flags));
  if (!clone) return fail_errno("clone the mount of " + what);
  return clone;
}

namespace {

/// liblxc leaves the runtime's tree without /proc (its own transient one is taken away again).
/// Hooks want one, of this pid namespace.
Result<> restore_proc() {
  if (::access("/proc/self", F_OK) == 0) return {};
  NX_TRY(UniqueFd proc,
         sys::new_mount("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV));
  return sys::attach(proc, "/proc");
}

}  // namespace

Result<> apply(const sys::plan::EnterRootfs& operation, Context& context) {
  NX_CHECK(restore_proc(), "mount proc for the hooks");
  NX_TRY(int mount, context.fd(operation.fd));
  // Host daemons may hide the path from the container's user namespace (0700 directories); then "/"
  // serves as well: what lies below is dropped by the pivot.
  UniqueFd target(::open(operation.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!target && errno == EACCES) target.reset(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!target) return fail_errno("open " + operation.path);
  if (::move_mount(mount, "", target.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
      0)
    return fail_errno("attach the root file system at " + operation.path);
  context.root_path = operation.path;
  context.root.reset(::fcntl(mount, F_DUPFD_CLOEXEC, 3));
  if (!context.root) return fail_errno("keep the root");
  return {};
}

namespace {

/// pivot_root(".", ".") stacks the old root on the new one, from where it is detached
/// (pivot_root(2), "pivot_root(".", ".")").
Result<> pivot(int new_root) {
  UniqueFd old_root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!old_root) return fail_errno("open /");
  if (::fchdir(new_root) < 0) return fail_errno("enter the root file system");
  if (::syscall(SYS_pivot_root, ".", ".") < 0) return fail_errno("pivot_root");
  if (::fchdir(old_root.get()) < 0) return fail_errno("enter the old root");
  if (::mount("", ".", "", MS_SLAVE | MS_REC, nullptr) < 0)
    return fail_errno("make the old root a slave");
  if (::umount2(".", MNT_DETACH) < 0) return fail_errno("detach the old root");
  return {};
}

bool below(const std::string& path, const std::string& top) {
  return path == top || path.starts_with(top + "/");
}

/// Without pivot_root the runtime's mounts stay below: full procfs and sysfs instances among them
/// could be reached by a process that escapes the chroot, so they go first.
Result<> move_root(int new_root, const std::string& root_path) {
  NX_TRY(auto mounts, sys::read_mountinfo());
  for (const sys::MountInfo& mount : mounts)
    if ((mount.fstype == "proc" || mount.fstype == "sysfs") && !below(mount.mount_point, root_path))
      (void)::umount2(mount.mount_point.c_str(), MNT_DETACH);
  if (::fchdir(new_root) < 0) return fail_errno("enter the root file system");
  if (::mount(".", "/", nullptr, MS_MOVE, nullptr) < 0)
    return fail_errno("move the root file system to /");
  if (::chroot(".") < 0) return fail_errno("chroot");
  return {};
}

}  // namespace

Result<> apply(const sys::plan::Pivot& operation, Context& context) {
  if (operation.move_mount) {
    NX_CHECK(move_root(context.root.get(), context.root_path));
  } else {
    NX_CHECK(pivot(context.root.get()));
  }
  if (::chdir("/") < 0) return fail_errno("enter /");
  return {};
}

Result<> apply(const sys::plan::FinishRoot& operation, Context& context) {
  if (operation.propagation != 0)
    NX_CHECK(sys::set_attributes(context.root.get(), 0, 0, operation.propagation,
                                 operation.recursive ? sys::Recursive::yes : sys::Recursive::no),
             "propagation of the root");
  if (operation.readonly)
    NX_CHECK(sys::set_attributes(context.root.get(), MOUNT_ATTR_RDONLY, 0, 0, sys::Recursive::no),
             "make the root read-only");
  return {};
}

}  // namespace nexcage::init
