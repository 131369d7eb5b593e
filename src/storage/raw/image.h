// Raw images: a file, or a block device, that holds a file system, which a container has as its
// root.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/mount.h"

namespace nexcage::storage::raw {

enum class FileSystem : std::uint8_t { ext4, xfs };

/// "ext4", "xfs".
std::string_view file_system_name(FileSystem file_system);
/// ConfigError for another word.
Result<FileSystem> parse_file_system(std::string_view word);

inline constexpr std::uint64_t kDefaultSize = std::uint64_t{10} << 30;
/// The least an image may have.
std::uint64_t minimal_size(FileSystem file_system);

/// What an image is to be.
struct ImageSpec {
  FileSystem file_system = FileSystem::ext4;
  std::uint64_t bytes = kDefaultSize;
  std::string label;  // cut to what the file system takes: 16 bytes in ext4, 12 in xfs
  std::string uuid;   // empty: random; with one, ext4 is made reproducibly (see make_image)
  /// Owner of the top directory of an image without a tree; with one the tree's has it.
  std::uint32_t root_uid = 0;
  std::uint32_t root_gid = 0;
};

/// The programs that do the work: names looked for on PATH, or paths.
struct Programs {
  std::string mke2fs = "mke2fs";
  std::string debugfs = "debugfs";
  std::string e2fsck = "e2fsck";
  std::string resize2fs = "resize2fs";
  std::string mkfs_xfs = "mkfs.xfs";
  std::string xfs_repair = "xfs_repair";
  std::string cp = "cp";
};

/// Creates the image `path` (mode 0600, sparse, must not exist), formats it and fills it with what
/// is in the directory `tree`; empty: with nothing. Durable when it returns, gone when it fails.
/// InvalidSpec: smaller than minimal_size; FileError with EEXIST; with ENOSPC: the tree does not
/// fit; RuntimeNotAvailable: a program is missing.
///
/// The tree is copied through a private mount and keeps everything: modes, owners, attributes,
/// access control lists, holes, links, devices, fifos, sockets, times to the nanosecond. An ext4
/// image with a uuid is written by `mke2fs -d` instead, without a mount of it: the same tree gives
/// the same bytes, while a copy of the tree has other times of access and of change. What mke2fs
/// 1.47.0 does not keep then, as the tests compare: nanoseconds; seconds after 2038-01-19; and the
/// names of a symlink that has several become a symlink each.
Result<> make_image(const std::string& path, const ImageSpec& spec, const std::string& tree,
                    const Programs& programs = {});

/// The same on the block device `path`, which must be new: all zeros, and used by nobody. Its size
/// counts and not `spec.bytes`. On failure its content is undefined.
Result<> fill_device(const std::string& path, const ImageSpec& spec, const std::string& tree,
                     const Programs& programs = {});

/// `quick` trusts a file system that says that it was unmounted properly.
enum class Check : std::uint8_t { quick, full };
/// Makes an image fit to be mounted after a crash: ext4 by `e2fsck -p`, while xfs does so when it
/// is mounted, and is only looked through (`xfs_repair -n`) by a full check. FileError when only a
/// person can repair it; InvalidState while it is mounted.
Result<> check_image(const std::string& path, FileSystem file_system, Check check = Check::quick,
                     const Programs& programs = {});

/// A mount of the image that is attached nowhere. `attributes` are MOUNT_ATTR_*; with
/// MOUNT_ATTR_RDONLY the device below it is read-only too. The loop device goes with the mount.
/// InvalidState while the image is in use by another mount that excludes this one.
Result<sys::DetachedMount> mount_image(const std::string& path, FileSystem file_system,
                                       std::uint64_t attributes);

/// Makes an image and its file system larger, the file first: killed between, it is only to be
/// repeated. A device must have the new size already. The kernel grows the file system, in steps of
/// its journal. `mounted` is a directory of it while it is mounted. InvalidSpec for a smaller size.
///
/// For ext4 the kernel wants the capability CAP_SYS_RESOURCE: without it a mounted one cannot grow
/// (PermissionDenied), and one that is not mounted grows by resize2fs, which is not safe against a
/// loss of power (killed in 29 of 40 runs, it left five that `e2fsck -p` did not repair).
Result<> grow_image(const std::string& path, FileSystem file_system, std::uint64_t new_bytes,
                    const std::optional<std::string>& mounted, const Programs& programs = {});

/// What an image is.
struct ImageInfo {
  FileSystem file_system = FileSystem::ext4;
  std::uint64_t bytes = 0;              // of the file
  std::uint64_t allocated = 0;          // of it on disk
  std::uint64_t file_system_bytes = 0;  // what the file system takes of it
  std::string label;
  std::string uuid;
  bool clean = true;  // ext4: was unmounted properly and has seen no error; xfs does not say
};
/// Reads only the superblock; nothing is mounted. FileError when there is none.
Result<ImageInfo> inspect(const std::string& path);

/// While it lives nothing is written to a mounted file system (FIFREEZE of fs/ioctl.h); who writes,
/// waits. A guard process thaws it when this one is killed meanwhile.
class Frozen {
 public:
  /// `directory`: any directory of the file system, O_PATH too. InvalidState when it is frozen
  /// already.
  static Result<Frozen> freeze(int directory);
  Frozen(Frozen&& other) noexcept;
  Frozen& operator=(Frozen&&) = delete;
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;
  ~Frozen();
  /// Lets writers go on, and says when that did not work.
  Result<> thaw();

 private:
  Frozen(UniqueFd directory, UniqueFd told, pid_t guard);
  UniqueFd directory_;
  UniqueFd told_;  // a byte into it dismisses the guard
  pid_t guard_;
};

}  // namespace nexcage::storage::raw
