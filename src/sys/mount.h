// Mounts through the new mount API (fsopen, fsmount, open_tree, move_mount, mount_setattr).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::sys {

/// A mount that is attached nowhere; it vanishes with its descriptor.
using DetachedMount = UniqueFd;

/// One fsconfig parameter: a string, a flag (empty value, is_flag) or a descriptor.
struct FsParam {
  std::string key;
  std::string value;
  int fd = -1;
  bool is_flag = false;
};

/// fsopen + fsconfig + fsmount. `attributes` are MOUNT_ATTR_*. An error carries the kernel's own
/// message read from the context descriptor.
Result<DetachedMount> new_mount(const std::string& fstype, const std::vector<FsParam>& params,
                                std::uint64_t attributes);

/// open_tree(OPEN_TREE_CLONE): a detached copy of the mount at `path` below `dir`.
enum class Recursive : std::uint8_t { no, yes };
Result<DetachedMount> clone_mount(int dir, const std::string& path, Recursive recursive);
/// move_mount onto what `target` (O_PATH) refers to.
Result<> attach(const DetachedMount& mount, int target);
Result<> attach(const DetachedMount& mount, const std::string& path);
/// mount_setattr on the mount that `fd` refers to.
Result<> set_attributes(int fd, std::uint64_t set, std::uint64_t clear, std::uint64_t propagation,
                        Recursive recursive);
/// umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW); not mounted is success.
Result<> unmount(const std::string& path);

/// One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
struct MountInfo {
  int id = 0;
  int parent = 0;
  std::string root, mount_point, options, fstype, source, super_options;
};
/// Pure part. FileError for a line that is none.
Result<std::vector<MountInfo>> parse_mountinfo(std::string_view text);
Result<std::vector<MountInfo>> read_mountinfo(const std::string& file = "/proc/self/mountinfo");

/// What the words of an OCI mount's `options` mean: flags for mount(2)-like attributes,
/// propagation, and the rest as file system data. Pure.
struct MountOptions {
  std::uint64_t set = 0;      // MOUNT_ATTR_*
  std::uint64_t clear = 0;    // MOUNT_ATTR_*
  std::uint64_t rec_set = 0;  // the r-prefixed words ("rro"), applied recursively
  std::uint64_t rec_clear = 0;
  std::uint64_t propagation = 0;  // MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE
  bool propagation_recursive = false;
  bool bind = false;
  bool recursive_bind = false;
  bool remount = false;
  bool tmpcopyup = false;
  bool copy_symlink = false;
  bool idmap = false;
  bool idmap_recursive = false;
  bool sync = false, dirsync = false, mandlock = false, iversion = false, lazytime = false,
       silent = false;
  std::vector<std::string> data;  // "size=64k", "mode=1777": for the file system
};
/// InvalidSpec for contradictory words only; unknown words are data, as in mount(8).
Result<MountOptions> parse_mount_options(const std::vector<std::string>& options);

}  // namespace nexcage::sys
