#include "nexcage/sys/loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::sys {
namespace {

constexpr std::uint32_t kSector = 512;
constexpr int kMaxTries = 64;  // each failed one means that another process took the free device

/// False: another process has taken the device, or the kernel is older than LOOP_CONFIGURE (5.8).
Result<bool> configure(int device, int file, std::uint32_t flags) {
  loop_config config{};
  config.fd = static_cast<std::uint32_t>(file);
  config.block_size = kSector;
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR | flags;
  if (ioctl(device, LOOP_CONFIGURE, &config) == 0) return true;
  if (errno == EBUSY) return false;
  return fail_errno("set up a loop device");
}

/// The kernel makes a device over a file that cannot be written to read-only without a word.
Result<> check_writable(int file) {
  const int flags = ::fcntl(file, F_GETFL);
  if (flags < 0) return fail_errno("look at a descriptor");
  if ((flags & O_ACCMODE) != O_RDWR)
    return fail_errno(EBADF, "set up a writable loop device over a file that is open for reading");
  return {};
}

/// ZFS 2.1 takes the flag, and then its writes and the device's wait for each other.
bool lies_on_zfs(int file) {
  constexpr std::uint32_t kZfsMagic = 0x2fc12fc1;
  struct statfs where{};
  return fstatfs(file, &where) == 0 && static_cast<std::uint32_t>(where.f_type) == kZfsMagic;
}

}  // namespace

Result<LoopDevice> LoopDevice::attach(int file, Access access) {
  const bool writable = access == Access::read_write;
  if (writable) NX_CHECK(check_writable(file));
  const std::uint32_t flags = writable ? 0 : LO_FLAGS_READ_ONLY;
  const std::uint32_t direct = lies_on_zfs(file) ? 0 : LO_FLAGS_DIRECT_IO;
  auto control = open_at(AT_FDCWD, "/dev/loop-control", O_RDWR);
  if (!control) return fail(std::move(control).error().as(Errc::Unsupported));
  for (int tries = 0; tries < kMaxTries; ++tries) {
    const int number = ioctl(control->get(), LOOP_CTL_GET_FREE);
    if (number < 0) return fail_errno("find a free loop device");
    std::string path = "/dev/loop" + std::to_string(number);
    NX_TRY(UniqueFd device, open_at(AT_FDCWD, path, writable ? O_RDWR : O_RDONLY));
    auto done = configure(device.get(), file, flags | direct);
    // A file system without direct I/O of this size; the kernel would take it without the flag.
    if (!done && done.error().sys_errno() == EINVAL) done = configure(device.get(), file, flags);
    if (!done) return fail(std::move(done).error());
    if (*done) return LoopDevice(std::move(device), std::move(path));
  }
  return fail(Errc::Timeout, "other processes take every free loop device");
}

Result<> grow_loop(int device_fd) {
  if (ioctl(device_fd, LOOP_SET_CAPACITY, 0) != 0) return fail_errno("grow a loop device");
  return {};
}

Result<std::optional<MountedLoop>> loop_of_mount(int directory) {
  NX_TRY(const struct stat info, stat_fd(directory));
  const std::string number =
      std::to_string(major(info.st_dev)) + ":" + std::to_string(minor(info.st_dev));
  auto block = open_at(AT_FDCWD, "/sys/dev/block/" + number, O_PATH | O_DIRECTORY);
  if (!block && block.error().sys_errno() == ENOENT) return std::nullopt;
  if (!block) return fail(std::move(block).error());
  auto file = read_file(block->get(), "loop/backing_file");
  if (!file && file.error().sys_errno() == ENOENT) return std::nullopt;
  if (!file) return fail(std::move(file).error());

  NX_TRY(const std::string link, read_link(AT_FDCWD, "/sys/dev/block/" + number));
  MountedLoop loop;
  loop.device = "/dev/" + link.substr(link.rfind('/') + 1);
  // The name ends with one line feed; others in it are the file's own.
  if (file->ends_with('\n')) file->pop_back();
  loop.backing_file = *std::move(file);
  NX_TRY(const UniqueFd device, open_at(AT_FDCWD, loop.device, O_RDONLY));
  NX_TRY(const struct stat named, stat_fd(device.get()));
  if (named.st_rdev != info.st_dev)
    return fail(Errc::FileError, loop.device + " is not the device " + number);
  loop_info64 status{};
  if (ioctl(device.get(), LOOP_GET_STATUS64, &status) != 0)
    return fail_errno("ask loop device " + loop.device);
  loop.backing_device = status.lo_device;
  loop.backing_inode = status.lo_inode;
  return loop;
}

Result<std::optional<MountedLoop>> loop_of_mount(const std::string& mount_point) {
  const std::string what = "loop device below " + mount_point;
  NX_TRY(const UniqueFd directory, open_at(AT_FDCWD, mount_point, O_PATH | O_DIRECTORY), what);
  NX_TRY(std::optional<MountedLoop> loop, loop_of_mount(directory.get()), what);
  return loop;
}

}  // namespace nexcage::sys
