// Growing images.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "nexcage/base/testpoint.h"
#include "nexcage/base/text.h"
#include "nexcage/storage/raw/device.h"
#include "nexcage/storage/raw/image.h"
#include "nexcage/storage/raw/image_file.h"
#include "nexcage/storage/raw/superblock.h"
#include "nexcage/storage/raw/tool.h"
#include "nexcage/sys/caps.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/loop.h"

namespace nexcage::storage::raw {
namespace {

/// struct xfs_growfs_data and XFS_IOC_FSGROWFSDATA of fs/xfs/libxfs/xfs_fs.h, and
/// EXT4_IOC_RESIZE_FS of fs/ext4/ext4.h: no header of linux-libc-dev has them.
struct XfsGrow {
  std::uint64_t blocks;
  std::uint32_t inode_percent;
};
constexpr unsigned long kXfsGrow = _IOW('X', 110, XfsGrow);
constexpr unsigned long kExt4Resize = _IOW('f', 16, std::uint64_t);

/// Has the kernel grow a mounted file system to the whole of its device; durable when it returns.
Result<> grow_mounted(const Superblock& found, std::uint64_t bytes, int directory) {
  const std::uint64_t blocks = bytes / found.block_bytes;
  const std::string what = "grow " + std::string(file_system_name(found.file_system));
  if (found.file_system == FileSystem::ext4) {
    if (::ioctl(directory, kExt4Resize, &blocks) != 0) return fail_errno(what);
  } else {
    const XfsGrow grow{blocks, found.inode_percent};
    if (::ioctl(directory, kXfsGrow, &grow) != 0) return fail_errno(what);
  }
  if (::syncfs(directory) != 0) return fail_errno("write the file system back");
  return {};
}

Result<> check_growth(int image, std::uint64_t bytes) {
  NX_TRY(const std::uint64_t now, size_of(image));
  NX_TRY(const bool device, is_device(image));
  if (device && bytes > now)
    return fail(Errc::InvalidSpec, "the device has only " + format_bytes(now));
  if (bytes >= now) return {};
  return fail(Error(Errc::InvalidSpec, "it has " + format_bytes(now) + " and can only grow")
                  .hint("make a smaller image and copy the files"));
}

/// A device has its size already. From here there is no return: a file that is larger than its file
/// system does no harm.
Result<> grow_file(int image, std::uint64_t bytes) {
  NX_TRY(const bool device, is_device(image));
  if (device) return {};
  if (::ftruncate(image, static_cast<off_t>(bytes)) != 0) return fail_errno("grow the file");
  NX_CHECK(sys::fsync_fd(image, "image"));
  testpoint("image-file-grown");
  return {};
}

/// Asked before the file is made larger: it would stay so.
Result<> check_capability(FileSystem file_system) {
  if (file_system != FileSystem::ext4) return {};
  NX_TRY(const sys::CapSets own, sys::own_capabilities());
  if ((own.effective >> CAP_SYS_RESOURCE & 1) != 0) return {};
  return fail(Error(Errc::PermissionDenied, "ext4 does not grow while it is mounted")
                  .hint("that needs the capability CAP_SYS_RESOURCE; without it, stop the "
                        "container first"));
}

/// The loop device over a file that has grown.
Result<> tell_loop(int image, const std::string& device_path) {
  NX_TRY(const bool device, is_device(image));
  if (device) return {};
  NX_TRY(const UniqueFd loop, sys::open_at(AT_FDCWD, device_path, O_RDONLY));
  return sys::grow_loop(loop.get());
}

Result<> grow_in_use(const std::string& path, FileSystem file_system, std::uint64_t bytes,
                     const std::string& mounted) {
  NX_TRY(const UniqueFd image, open_image(path, sys::Access::read_write, Lock::none));
  NX_TRY(const UniqueFd directory, sys::open_at(AT_FDCWD, mounted, O_RDONLY | O_DIRECTORY));
  NX_TRY(const std::string device_path, device_of_mounted(image.get(), path, directory.get()));
  NX_TRY(const Superblock found, read_superblock(image.get()));
  NX_CHECK(check_superblock(found, file_system));
  NX_CHECK(check_growth(image.get(), bytes));
  NX_CHECK(check_capability(file_system));
  NX_CHECK(grow_file(image.get(), bytes));
  NX_CHECK(tell_loop(image.get(), device_path));
  return grow_mounted(found, bytes, directory.get());
}

/// By a mount of its own: in steps of the journal, each of which leaves a sound file system.
Result<> grow_by_mount(int image, FileSystem file_system, const Superblock& found,
                       std::uint64_t bytes) {
  NX_TRY(const sys::DetachedMount mount,
         mount_open_image(image, file_system, sys::Access::read_write, 0));
  NX_TRY(const UniqueFd top, sys::open_at(mount.get(), ".", O_RDONLY | O_DIRECTORY));
  return grow_mounted(found, bytes, top.get());
}

/// resize2fs has no journal: killed in the middle it leaves what `e2fsck -p` may refuse to repair.
/// So it goes on when this process is killed, and keeps the image locked until it has ended.
Result<> grow_by_program(int image, const std::string& path, const Programs& programs) {
  NX_CHECK(check_open_image(image, path, FileSystem::ext4, Check::full, programs));
  Tool tool;
  tool.argv = {programs.resize2fs, "--", path};
  tool.fds = {{image, 3}};
  tool.parent_dies = Tool::ParentDies::go_on;
  NX_CHECK(run_tool(tool));
  return {};
}

Result<> grow_unused(const std::string& path, FileSystem file_system, std::uint64_t bytes,
                     const Programs& programs) {
  NX_TRY(const UniqueFd image, open_image(path, sys::Access::read_write, Lock::exclusive));
  NX_CHECK(check_growth(image.get(), bytes));
  NX_TRY(const Superblock found,
         check_open_image(image.get(), path, file_system, Check::quick, programs));
  NX_CHECK(grow_file(image.get(), bytes));
  auto grown = grow_by_mount(image.get(), file_system, found, bytes);
  if (!grown && file_system == FileSystem::ext4 && grown.error().sys_errno() == EPERM)
    grown = grow_by_program(image.get(), path, programs);
  if (!grown) return grown;
  return sys::fsync_fd(image.get(), "image");
}

}  // namespace

Result<> grow_image(const std::string& path, FileSystem file_system, std::uint64_t new_bytes,
                    const std::optional<std::string>& mounted, const Programs& programs) {
  const std::string what = "grow image " + path + " to " + format_bytes(new_bytes);
  if (mounted)
    NX_CHECK(grow_in_use(path, file_system, new_bytes, *mounted), what);
  else
    NX_CHECK(grow_unused(path, file_system, new_bytes, programs), what);
  return {};
}

}  // namespace nexcage::storage::raw
