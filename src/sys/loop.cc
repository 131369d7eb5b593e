#include "nexcage/sys/loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <cerrno>

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
  config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | flags;
  if (ioctl(device, LOOP_CONFIGURE, &config) == 0) return true;
  if (errno == EBUSY) return false;
  return fail_errno("set up a loop device");
}

}  // namespace

Result<LoopDevice> LoopDevice::attach(int file) {
  auto control = open_at(AT_FDCWD, "/dev/loop-control", O_RDWR);
  if (!control) return fail(std::move(control).error().as(Errc::Unsupported));
  for (int tries = 0; tries < kMaxTries; ++tries) {
    const int number = ioctl(control->get(), LOOP_CTL_GET_FREE);
    if (number < 0) return fail_errno("find a free loop device");
    std::string path = "/dev/loop" + std::to_string(number);
    NX_TRY(UniqueFd device, open_at(AT_FDCWD, path, O_RDONLY));
    auto done = configure(device.get(), file, LO_FLAGS_DIRECT_IO);
    // A file system without direct I/O of this size; the kernel would take it without the flag.
    if (!done && done.error().sys_errno() == EINVAL) done = configure(device.get(), file, 0);
    if (!done) return fail(std::move(done).error());
    if (*done) return LoopDevice(std::move(device), std::move(path));
  }
  return fail(Errc::Timeout, "other processes take every free loop device");
}

}  // namespace nexcage::sys
