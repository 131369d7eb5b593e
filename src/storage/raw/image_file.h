// The file of an image: opened only when it is what it should be, and never used twice at once.
#pragma once

#include <cstdint>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/storage/raw/image.h"
#include "nexcage/storage/raw/superblock.h"
#include "nexcage/sys/access.h"
#include "nexcage/sys/mount.h"

namespace nexcage::storage::raw {

/// `none` is for who only looks, or has the image mounted itself.
enum class Lock : std::uint8_t { none, shared, exclusive };

/// Opens an image. It must be a block device, or a regular file that only root (or who runs this)
/// can have written: PermissionDenied otherwise; a symlink is neither. The lock (flock(2)) lasts as
/// long as the description, which a loop device over it keeps. InvalidState when another use
/// excludes it.
Result<UniqueFd> open_image(const std::string& path, sys::Access access, Lock lock);

/// Locks a file that nobody else can have yet.
Result<> lock_new_image(int image);

/// The file system in an open image, on a loop device or the device that it is, attached nowhere.
/// FileError when it is another one than `file_system`, or asks for what an image may not decide.
Result<sys::DetachedMount> mount_open_image(int image, FileSystem file_system, sys::Access device,
                                            std::uint64_t attributes);

/// check_image of an image that the caller has opened and locked. Returns what its superblock said
/// before.
Result<Superblock> check_open_image(int image, const std::string& path, FileSystem file_system,
                                    Check check, const Programs& programs);

/// InvalidState unless what is mounted at `directory` is the image itself. Returns the path of its
/// block device.
Result<std::string> device_of_mounted(int image, const std::string& path, int directory);

}  // namespace nexcage::storage::raw
