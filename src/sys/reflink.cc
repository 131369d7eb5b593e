#include "nexcage/sys/reflink.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <span>
#include <utility>

namespace nexcage::sys {
namespace {

constexpr long kZfsMagic = 0x2fc12fc1;

constexpr std::array<std::pair<long, const char*>, 8> kNames = {{
    {EXT4_SUPER_MAGIC, "ext4"},
    {XFS_SUPER_MAGIC, "xfs"},
    {BTRFS_SUPER_MAGIC, "btrfs"},
    {TMPFS_MAGIC, "tmpfs"},
    {OVERLAYFS_SUPER_MAGIC, "overlay"},
    {NFS_SUPER_MAGIC, "nfs"},
    {F2FS_SUPER_MAGIC, "f2fs"},
    {kZfsMagic, "zfs"},
}};

/// Why blocks cannot be shared; nullptr when the reason is another.
const char* refusal(int error) {
  switch (error) {
    case EOPNOTSUPP:
    case ENOTTY:
      return "cannot share blocks between files";
    case EXDEV:
      return "shares no blocks with another file system";
    // ioctl_ficlonerange(2): also for files of which only one is without checksums (btrfs), and
    // for xfs that was made without reflink=1 before Linux 4.16.
    case EINVAL:
      return "cannot share the blocks of these files";
    default:
      return nullptr;
  }
}

}  // namespace

Result<> clone_file(int from, int to) {
  if (::ioctl(to, FICLONE, from) == 0) return {};
  const int error = errno;
  const char* reason = refusal(error);
  if (reason == nullptr) return fail_errno(error, "share the blocks of a file");
  NX_TRY(const std::string name, fs_name(to));
  return fail(
      Error::from_errno(Errc::Unsupported, error, "the file system (" + name + ") " + reason)
          .hint("xfs and btrfs can share blocks between files"));
}

Result<std::uint64_t> unshared_bytes(int fd) {
  constexpr std::uint32_t kAtOnce = 256;
  alignas(struct fiemap) std::array<char, sizeof(struct fiemap) + kAtOnce * sizeof(fiemap_extent)>
      buffer;
  auto* map = reinterpret_cast<struct fiemap*>(buffer.data());
  std::uint64_t bytes = 0;
  for (std::uint64_t at = 0;;) {
    *map = {};
    map->fm_start = at;
    map->fm_length = FIEMAP_MAX_OFFSET - at;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = kAtOnce;
    if (::ioctl(fd, FS_IOC_FIEMAP, map) != 0) return fail_errno("map the blocks of a file");
    if (map->fm_mapped_extents == 0) return bytes;
    for (const fiemap_extent& extent :
         std::span(static_cast<const fiemap_extent*>(map->fm_extents), map->fm_mapped_extents)) {
      if ((extent.fe_flags & FIEMAP_EXTENT_SHARED) == 0) bytes += extent.fe_length;
      if ((extent.fe_flags & FIEMAP_EXTENT_LAST) != 0) return bytes;
      at = extent.fe_logical + extent.fe_length;
    }
  }
}

Result<std::string> fs_name(int fd) {
  struct statfs info{};
  if (::fstatfs(fd, &info) != 0) return fail_errno("look at the file system of a descriptor");
  for (const auto& [magic, name] : kNames)
    if (static_cast<long>(info.f_type) == magic) return std::string(name);
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "type 0x%lx",
                      static_cast<unsigned long>(info.f_type));
  return std::string(text.data());
}

}  // namespace nexcage::sys
