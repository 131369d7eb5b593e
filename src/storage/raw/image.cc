#include "nexcage/storage/raw/image.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "nexcage/base/text.h"
#include "nexcage/storage/raw/device.h"
#include "nexcage/storage/raw/image_file.h"
#include "nexcage/storage/raw/superblock.h"
#include "nexcage/sys/fs.h"

namespace nexcage::storage::raw {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kStatBlock = 512;  // st_blocks counts these, whatever the file system

/// Mounting a file system that was not unmounted properly writes its journal back first, which a
/// read-only device refuses.
bool needs_recovery(const Error& error) { return error.sys_errno() == EROFS; }

Result<sys::DetachedMount> mount_once(const std::string& path, FileSystem file_system,
                                      sys::Access device, std::uint64_t attributes) {
  const Lock lock = device == sys::Access::read_only ? Lock::shared : Lock::exclusive;
  NX_TRY(const UniqueFd image, open_image(path, device, lock));
  return mount_open_image(image.get(), file_system, device, attributes);
}

}  // namespace

std::string_view file_system_name(FileSystem file_system) {
  return file_system == FileSystem::ext4 ? "ext4" : "xfs";
}

Result<FileSystem> parse_file_system(std::string_view word) {
  if (word == "ext4") return FileSystem::ext4;
  if (word == "xfs") return FileSystem::xfs;
  return fail(Error(Errc::ConfigError, "file system " + quote(word) + " of a raw image is unknown")
                  .hint("use \"ext4\" or \"xfs\""));
}

std::uint64_t minimal_size(FileSystem file_system) {
  // ext4: the least that has a journal and room to grow. xfs: mkfs.xfs refuses less since
  // xfsprogs 5.19.
  return file_system == FileSystem::ext4 ? 16 * kMiB : 300 * kMiB;
}

Result<sys::DetachedMount> mount_image(const std::string& path, FileSystem file_system,
                                       std::uint64_t attributes) {
  const std::string what = "mount image " + path;
  const bool read_only = (attributes & MOUNT_ATTR_RDONLY) != 0;
  const sys::Access device = read_only ? sys::Access::read_only : sys::Access::read_write;
  auto mount = mount_once(path, file_system, device, attributes);
  if (!mount && read_only && needs_recovery(mount.error())) {
    // Once by itself on a device that can be written to; not the mount that stays.
    NX_CHECK(mount_once(path, file_system, sys::Access::read_write, attributes), what);
    mount = mount_once(path, file_system, device, attributes);
  }
  if (!mount) return fail(std::move(mount).error().wrap(what));
  return mount;
}

Result<ImageInfo> inspect(const std::string& path) {
  const std::string what = "inspect image " + path;
  NX_TRY(const UniqueFd image, open_image(path, sys::Access::read_only, Lock::none), what);
  NX_TRY(const struct stat info, sys::stat_fd(image.get()), what);
  NX_TRY(const std::uint64_t bytes, size_of(image.get()), what);
  NX_TRY(const Superblock found, read_superblock(image.get()), what);
  return ImageInfo{.file_system = found.file_system,
                   .bytes = bytes,
                   .allocated = static_cast<std::uint64_t>(info.st_blocks) * kStatBlock,
                   .file_system_bytes = found.bytes(),
                   .label = found.label,
                   .uuid = found.uuid,
                   .clean = found.clean};
}

}  // namespace nexcage::storage::raw
