#include "nexcage/storage/raw/image_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <vector>

#include "nexcage/storage/raw/device.h"
#include "nexcage/storage/raw/superblock.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/loop.h"
#include "nexcage/sys/poll_until.h"

namespace nexcage::storage::raw {
namespace {

/// A loop device may outlive the last unmount for a moment.
constexpr std::chrono::milliseconds kPatience{1000}, kPause{10};

Result<> check_file(const struct stat& info) {
  const bool device = S_ISBLK(info.st_mode);
  if (!device && !S_ISREG(info.st_mode)) return fail(Errc::FileError, "it is no regular file");
  const bool ours = info.st_uid == 0 || info.st_uid == ::geteuid();
  // udev gives devices to the group "disk", whose members are as good as root.
  const mode_t others = device ? S_IWOTH : S_IWGRP | S_IWOTH;
  if (!ours || (info.st_mode & others) != 0)
    return fail(Error(Errc::PermissionDenied, "others than root may have written it")
                    .hint("an image must belong to root and have mode 0600"));
  return {};
}

/// False when somebody else holds it for longer than the patience.
Result<bool> take_lock(int image, Lock lock) {
  if (lock == Lock::none) return true;
  const int operation = (lock == Lock::shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  const auto deadline = sys::deadline_after(kPatience);
  while (::flock(image, operation) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno("lock");
    if (std::chrono::steady_clock::now() >= *deadline) return false;
    sys::sleep_for(kPause);
  }
  return true;
}

/// A rollback may have put another file in place of the one that was opened.
Result<bool> is_current(const struct stat& held, const std::string& path) {
  NX_TRY(const std::optional<struct stat> named, sys::stat_at(AT_FDCWD, path));
  return named && named->st_dev == held.st_dev && named->st_ino == held.st_ino;
}

/// nullopt: another file has taken the name meanwhile.
Result<std::optional<UniqueFd>> open_once(const std::string& path, sys::Access access, Lock lock) {
  // O_PATH first: opening a fifo or a device has effects.
  NX_TRY(const UniqueFd name, sys::open_at(AT_FDCWD, path, O_PATH | O_NOFOLLOW));
  NX_TRY(const struct stat info, sys::stat_fd(name.get()));
  NX_CHECK(check_file(info));
  NX_TRY(UniqueFd image,
         sys::reopen(name.get(), access == sys::Access::read_only ? O_RDONLY : O_RDWR));
  NX_TRY(const bool locked, take_lock(image.get(), lock));
  if (!locked)
    return fail(Error(Errc::InvalidState, "it is in use")
                    .hint("unmount it, or wait until the command that uses it has ended"));
  if (lock == Lock::exclusive && S_ISBLK(info.st_mode)) NX_CHECK(check_unused(image.get()));
  NX_TRY(const bool current, is_current(info, path));
  if (!current) return std::nullopt;
  return image;
}

/// What the kernel is told, so that the image's own defaults do not count.
std::vector<sys::FsParam> options_of(FileSystem file_system) {
  // ext4: "panic" in the superblock would take the host down with a damaged image.
  if (file_system == FileSystem::ext4) return {{.key = "errors", .value = "remount-ro"}};
  // A copy of an image may be mounted beside it; xfs would refuse the second of one uuid.
  return {{.key = "nouuid", .value = {}, .fd = -1, .is_flag = true}};
}

/// What is mounted; the loop device stays with the mount when its descriptor is closed.
struct Source {
  std::string path;
  std::optional<sys::LoopDevice> loop;
};

Result<Source> source_of(int image, sys::Access access) {
  NX_TRY(const bool device, is_device(image));
  if (device) {
    NX_TRY(std::string path, device_name(image));
    return Source{std::move(path), std::nullopt};
  }
  NX_TRY(sys::LoopDevice loop, sys::LoopDevice::attach(image, access));
  std::string path = loop.path();
  return Source{std::move(path), std::move(loop)};
}

}  // namespace

Result<UniqueFd> open_image(const std::string& path, sys::Access access, Lock lock) {
  constexpr int kTries = 16;
  for (int tries = 0; tries < kTries; ++tries) {
    NX_TRY(std::optional<UniqueFd> image, open_once(path, access, lock));
    if (image) return *std::move(image);
  }
  return fail(Errc::FileError, "it is replaced again and again");
}

Result<> lock_new_image(int image) {
  NX_TRY(const bool locked, take_lock(image, Lock::exclusive));
  if (!locked) return fail(Errc::InvalidState, "somebody else has locked the new file");
  return {};
}

Result<sys::DetachedMount> mount_open_image(int image, FileSystem file_system, sys::Access device,
                                            std::uint64_t attributes) {
  NX_TRY(const Superblock found, read_superblock(image));
  NX_CHECK(check_superblock(found, file_system));
  std::vector<sys::FsParam> params = options_of(file_system);
  NX_TRY(const Source source, source_of(image, device));
  params.push_back({.key = "source", .value = source.path});
  if ((attributes & MOUNT_ATTR_RDONLY) != 0)
    params.push_back({.key = "ro", .value = {}, .fd = -1, .is_flag = true});
  return sys::new_mount(std::string(file_system_name(file_system)), params, attributes);
}

Result<std::string> device_of_mounted(int image, const std::string& path, int directory) {
  NX_TRY(const struct stat info, sys::stat_fd(image));
  if (S_ISBLK(info.st_mode)) {
    NX_TRY(const struct stat mounted, sys::stat_fd(directory));
    if (mounted.st_dev == info.st_rdev) return device_name(image);
    return fail(Errc::InvalidState, "what is mounted does not lie on " + path);
  }
  NX_TRY(const std::optional<sys::MountedLoop> loop, sys::loop_of_mount(directory));
  if (loop && loop->backing_device == info.st_dev && loop->backing_inode == info.st_ino)
    return loop->device;
  return fail(Errc::InvalidState,
              "what is mounted is " + (loop ? loop->backing_file : "no image") + ", not " + path);
}

}  // namespace nexcage::storage::raw
