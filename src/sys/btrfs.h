// Subvolumes of btrfs (ioctls of linux/btrfs.h, btrfs-subvolume(8)). Directories are descriptors of
// any kind, O_PATH too; names are single components. Errors keep the errno.
#pragma once

#include <cstdint>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/sys/access.h"

namespace nexcage::sys {

/// True when the file or directory lies on btrfs.
Result<bool> is_btrfs(int fd);
/// True for the top directory of a subvolume or snapshot: inode 256 on btrfs.
Result<bool> is_subvolume(int fd);

/// A new, empty subvolume, mode 0755 without the umask's bits, owned by the caller.
Result<> create_subvolume(int dir, const std::string& name);
/// `dir`/`name` becomes a snapshot of the subvolume `source`, which must be in the same file
/// system. Subvolumes within `source` are empty directories in it.
Result<> snapshot_subvolume(int source, int dir, const std::string& name, Access access);
/// Deletes a subvolume at once, however large; its blocks are freed in the background. A read-only
/// one too. Missing is success; ENOTEMPTY: other subvolumes lie in it. What is mounted below it is
/// detached: for trees that may be in use there is remove_tree.
Result<> delete_subvolume(int dir, const std::string& name);

/// Whether a subvolume can be written to.
Result<Access> subvolume_access(int subvolume);
Result<> set_subvolume_access(int subvolume, Access access);

/// What btrfs knows about a subvolume (BTRFS_IOC_GET_SUBVOL_INFO, Linux 4.18).
struct SubvolumeInfo {
  std::uint64_t id = 0;          // each new one has a greater one, whatever the clock does
  std::uint64_t created = 0;     // seconds since 1970
  std::uint32_t created_ns = 0;  // and nanoseconds
};
Result<SubvolumeInfo> subvolume_info(int subvolume);
/// True when other subvolumes lie in this one (BTRFS_IOC_GET_SUBVOL_ROOTREF).
Result<bool> has_subvolumes(int subvolume);

}  // namespace nexcage::sys
