#include "nexcage/storage/raw/device.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "nexcage/sys/fs.h"

namespace nexcage::storage::raw {

Result<bool> is_device(int image) {
  NX_TRY(const struct stat info, sys::stat_fd(image));
  return S_ISBLK(info.st_mode);
}

Result<std::uint64_t> size_of(int image) {
  NX_TRY(const struct stat info, sys::stat_fd(image));
  if (!S_ISBLK(info.st_mode)) return static_cast<std::uint64_t>(info.st_size);
  std::uint64_t bytes = 0;
  if (::ioctl(image, BLKGETSIZE64, &bytes) != 0) return fail_errno("ask for the device's size");
  return bytes;
}

Result<std::string> device_name(int device) {
  NX_TRY(const struct stat info, sys::stat_fd(device));
  const std::string link = "/sys/dev/block/" + std::to_string(major(info.st_rdev)) + ":" +
                           std::to_string(minor(info.st_rdev));
  std::error_code error;
  const std::filesystem::path target = std::filesystem::read_symlink(link, error);
  if (error) return fail_errno(error.value(), "read " + link);
  return "/dev/" + target.filename().string();
}

Result<> check_unused(int device) {
  // Without O_CREAT the flag asks whether somebody else holds the device (open(2)).
  const auto opened = sys::reopen(device, O_RDONLY | O_EXCL);
  if (opened) return {};
  if (opened.error().sys_errno() != EBUSY) return fail(opened.error());
  return fail(Error(Errc::InvalidState, "it is in use")
                  .hint("unmount it, or wait until the command that uses it has ended"));
}

}  // namespace nexcage::storage::raw
