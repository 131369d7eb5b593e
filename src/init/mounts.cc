// File systems and binds inside the root. Every target is resolved in-root to a descriptor, and the
// mount is attached to that descriptor: a name swapped meanwhile leads nowhere (CVE-2021-30465).
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "nexcage/init/context.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::init {
namespace {

std::vector<sys::FsParam> parameters(const sys::plan::MountFilesystem& operation) {
  std::vector<sys::FsParam> params;
  if (!operation.source.empty()) params.push_back({.key = "source", .value = operation.source});
  for (const std::string& option : operation.options) {
    std::size_t equals = option.find('=');
    if (equals == std::string::npos)
      params.push_back({.key = option, .value = "", .fd = -1, .is_flag = true});
    else
      params.push_back({.key = option.substr(0, equals), .value = option.substr(equals + 1)});
  }
  return params;
}

/// The directory to mount on. For proc and sysfs an image may not redirect it with a symlink.
Result<UniqueFd> directory(const Context& context, const sys::plan::MountFilesystem& operation) {
  if (!operation.plain_target)
    return sys::mkdirs_in_root(context.root.get(), operation.target, 0755);
  NX_CHECK(apply(sys::plan::RefuseSymlink{operation.target}, const_cast<Context&>(context)));
  NX_CHECK(sys::mkdirs_in_root(context.root.get(), operation.target, 0755));
  return sys::open_beneath(context.root.get(), operation.target.substr(1), O_PATH | O_DIRECTORY);
}

/// The file or directory to attach a bind to, made after the kind of the mount's root.
Result<UniqueFd> bind_target(const Context& context, const std::string& target, bool is_directory) {
  if (is_directory) return sys::mkdirs_in_root(context.root.get(), target, 0755);
  auto existing = sys::open_in_root(context.root.get(), target, O_PATH);
  if (existing || existing.error().sys_errno() != ENOENT) return existing;
  NX_TRY(Place place, place_in_root(context, target));
  return sys::open_at(place.parent.get(), place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                      0644);
}

/// The runtime's /dev/null, and surely that device (CVE-2025-31133).
Result<UniqueFd> null_device() {
  NX_TRY(UniqueFd null, sys::open_at(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW));
  NX_TRY(struct stat info, sys::stat_fd(null.get()));
  if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3))
    return fail(Errc::LXCError, "/dev/null of the host is not the null device");
  return null;
}

bool missing(const Error& error) {
  return error.sys_errno() == ENOENT || error.sys_errno() == ENOTDIR;
}

}  // namespace

Result<Place> place_in_root(const Context& context, const std::string& target) {
  std::string path = sys::clean_path(target);
  std::size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash + 1 == path.size())
    return fail(Errc::InvalidSpec, target + " is no place for a file");
  NX_TRY(UniqueFd parent,
         sys::mkdirs_in_root(context.root.get(), slash == 0 ? "/" : path.substr(0, slash), 0755));
  return Place{std::move(parent), path.substr(slash + 1)};
}

Result<> apply(const sys::plan::RefuseSymlink& operation, Context& context) {
  auto found = sys::open_in_root(context.root.get(), operation.target, O_PATH | O_NOFOLLOW);
  if (!found) {
    if (missing(found.error())) return {};
    return fail(std::move(found).error());
  }
  NX_TRY(struct stat info, sys::stat_fd(found->get()));
  if (!S_ISLNK(info.st_mode)) return {};
  return fail(Errc::InvalidRootfs, operation.target + " of the image is a symbolic link");
}

Result<> apply(const sys::plan::MountFilesystem& operation, Context& context) {
  const std::string what = "mount " + operation.fstype + " on " + operation.target;
  NX_TRY(UniqueFd target, directory(context, operation), what);
  const bool late_readonly = operation.copy_up && (operation.attributes & MOUNT_ATTR_RDONLY) != 0;
  const std::uint64_t attributes = late_readonly
                                       ? operation.attributes & ~std::uint64_t{MOUNT_ATTR_RDONLY}
                                       : operation.attributes;
  NX_TRY(UniqueFd mount, sys::new_mount(operation.fstype, parameters(operation), attributes), what);
  if (operation.copy_up) NX_CHECK(copy_up(target.get(), mount.get()), what);
  if (late_readonly)
    NX_CHECK(sys::set_attributes(mount.get(), MOUNT_ATTR_RDONLY, 0, 0, sys::Recursive::no), what);
  NX_CHECK(sys::attach(mount, target.get()), what);
  if (operation.propagation != 0)
    NX_CHECK(sys::set_attributes(mount.get(), 0, 0, operation.propagation, sys::Recursive::no),
             what);
  return {};
}

Result<> apply(const sys::plan::AttachMount& operation, Context& context) {
  const std::string what = "mount on " + operation.target;
  NX_TRY(int mount, context.fd(operation.fd), what);
  NX_TRY(struct stat info, sys::stat_fd(mount), what);
  NX_TRY(UniqueFd target, bind_target(context, operation.target, S_ISDIR(info.st_mode)), what);
  if (::move_mount(mount, "", target.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
      0)
    return fail_errno(what);
  return {};
}

Result<> apply(const sys::plan::ChangeMount& operation, Context& context) {
  const std::string what = "remount " + operation.target;
  NX_TRY(UniqueFd target, sys::open_in_root(context.root.get(), operation.target, O_PATH), what);
  return sys::set_attributes(target.get(), operation.set, operation.clear, operation.propagation,
                             operation.recursive ? sys::Recursive::yes : sys::Recursive::no);
}

Result<> apply(const sys::plan::MakeDirectory& operation, Context& context) {
  NX_CHECK(sys::mkdirs_in_root(context.root.get(), operation.target, operation.mode),
           "make directory " + operation.target);
  return {};
}

Result<> apply(const sys::plan::MaskPath& operation, Context& context) {
  const std::string what = "mask " + operation.target;
  auto target = sys::open_in_root(context.root.get(), operation.target, O_PATH);
  if (!target) {
    if (missing(target.error())) return {};
    return fail(std::move(target).error().wrap(what));
  }
  NX_TRY(struct stat info, sys::stat_fd(target->get()), what);
  UniqueFd cover;
  if (S_ISDIR(info.st_mode)) {
    NX_TRY(cover,
           sys::new_mount(
               "tmpfs", {{.key = "size", .value = "0"}, {.key = "nr_inodes", .value = "1"}},
               MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC),
           what);
  } else {
    NX_TRY(UniqueFd null, null_device(), what);
    NX_TRY(cover, clone_of(null.get(), false, "/dev/null"), what);
  }
  NX_CHECK(sys::attach(cover, target->get()), what);
  return {};
}

Result<> apply(const sys::plan::ReadonlyPath& operation, Context& context) {
  const std::string what = "make read-only " + operation.target;
  auto target = sys::open_in_root(context.root.get(), operation.target, O_PATH);
  if (!target) {
    if (missing(target.error())) return {};
    return fail(std::move(target).error().wrap(what));
  }
  NX_TRY(UniqueFd copy, clone_of(target->get(), true, operation.target), what);
  NX_CHECK(sys::set_attributes(copy.get(), MOUNT_ATTR_RDONLY, 0, 0, sys::Recursive::yes), what);
  NX_CHECK(sys::attach(copy, target->get()), what);
  return {};
}

}  // namespace nexcage::init
