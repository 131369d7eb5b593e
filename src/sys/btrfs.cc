#include "nexcage/sys/btrfs.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "nexcage/sys/fs.h"

namespace nexcage::sys {
namespace {

/// BTRFS_FIRST_FREE_OBJECTID of linux/btrfs_tree.h: the top directory of every subvolume.
constexpr ino_t kTopDirectory = 256;

/// The ioctls take no O_PATH descriptor.
Result<UniqueFd> for_ioctl(int directory) {
  return open_at(directory, ".", O_RDONLY | O_DIRECTORY);
}

/// A name as the ioctls take it. They resolve nothing, but a "/" would be kept as it is.
template <std::size_t kSize>
Result<> put_name(char (&to)[kSize], const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos)
    return fail_errno(EINVAL, "name of a subvolume");
  if (name.size() >= kSize) return fail_errno(ENAMETOOLONG, "name of a subvolume");
  std::memcpy(to, name.data(), name.size());
  return {};
}

}  // namespace

Result<bool> is_btrfs(int fd) { return is_fs(fd, BTRFS_SUPER_MAGIC); }

Result<bool> is_subvolume(int fd) {
  NX_TRY(const struct stat info, stat_fd(fd));
  if (info.st_ino != kTopDirectory || !S_ISDIR(info.st_mode)) return false;
  return is_btrfs(fd);
}

Result<> create_subvolume(int dir, const std::string& name) {
  const std::string what = "create subvolume " + name;
  btrfs_ioctl_vol_args_v2 args{};
  NX_CHECK(put_name(args.name, name), what);
  NX_TRY(const UniqueFd parent, for_ioctl(dir), what);
  if (::ioctl(parent.get(), BTRFS_IOC_SUBVOL_CREATE_V2, &args) != 0) return fail_errno(what);
  return {};
}

Result<> snapshot_subvolume(int source, int dir, const std::string& name, Access access) {
  const std::string what = "make snapshot " + name;
  btrfs_ioctl_vol_args_v2 args{};
  NX_CHECK(put_name(args.name, name), what);
  NX_TRY(const UniqueFd subvolume, for_ioctl(source), what);
  NX_TRY(const UniqueFd parent, for_ioctl(dir), what);
  args.fd = subvolume.get();
  if (access == Access::read_only) args.flags = BTRFS_SUBVOL_RDONLY;
  if (::ioctl(parent.get(), BTRFS_IOC_SNAP_CREATE_V2, &args) != 0) return fail_errno(what);
  return {};
}

Result<> delete_subvolume(int dir, const std::string& name) {
  const std::string what = "delete subvolume " + name;
  btrfs_ioctl_vol_args args{};
  NX_CHECK(put_name(args.name, name), what);
  NX_TRY(const UniqueFd parent, for_ioctl(dir), what);
  if (::ioctl(parent.get(), BTRFS_IOC_SNAP_DESTROY, &args) == 0 || errno == ENOENT) return {};
  return fail_errno(what);
}

Result<Access> subvolume_access(int subvolume) {
  const std::string what = "ask whether a subvolume is read-only";
  NX_TRY(const UniqueFd top, for_ioctl(subvolume), what);
  __u64 flags = 0;
  if (::ioctl(top.get(), BTRFS_IOC_SUBVOL_GETFLAGS, &flags) != 0) return fail_errno(what);
  return (flags & BTRFS_SUBVOL_RDONLY) != 0 ? Access::read_only : Access::read_write;
}

Result<> set_subvolume_access(int subvolume, Access access) {
  const std::string what = "change whether a subvolume is read-only";
  NX_TRY(const UniqueFd top, for_ioctl(subvolume), what);
  __u64 flags = access == Access::read_only ? BTRFS_SUBVOL_RDONLY : 0;
  if (::ioctl(top.get(), BTRFS_IOC_SUBVOL_SETFLAGS, &flags) != 0) return fail_errno(what);
  return {};
}

Result<SubvolumeInfo> subvolume_info(int subvolume) {
  const std::string what = "ask about a subvolume";
  NX_TRY(const UniqueFd top, for_ioctl(subvolume), what);
  btrfs_ioctl_get_subvol_info_args args{};
  // Linux 6.18 returns 1 with a whole answer: what its last search in a tree has said.
  if (::ioctl(top.get(), BTRFS_IOC_GET_SUBVOL_INFO, &args) < 0) return fail_errno(what);
  return SubvolumeInfo{.id = args.treeid, .created = args.otime.sec, .created_ns = args.otime.nsec};
}

Result<bool> has_subvolumes(int subvolume) {
  const std::string what = "look for subvolumes in a subvolume";
  NX_TRY(const UniqueFd top, for_ioctl(subvolume), what);
  btrfs_ioctl_get_subvol_rootref_args args{};
  // EOVERFLOW: there are more than fit into one answer.
  if (::ioctl(top.get(), BTRFS_IOC_GET_SUBVOL_ROOTREF, &args) >= 0) return args.num_items > 0;
  if (errno == EOVERFLOW) return true;
  return fail_errno(what);
}

}  // namespace nexcage::sys
