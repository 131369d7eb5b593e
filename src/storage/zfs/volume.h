// What of a dataset the kernel shows: a mount of a file system, the block device of a volume.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/storage/zfs/dataset.h"
#include "nexcage/sys/mount.h"

namespace nexcage::storage::zfs {

/// A mount of the file system, attached nowhere; `attributes` are MOUNT_ATTR_*, each mount's own: a
/// read-only mount beside a writable one. For datasets with mountpoint=legacy: zfs(8) itself mounts
/// the others. While the mount is there, attached or not, the dataset is busy. FileError with
/// ENOENT when there is no such dataset; else the errors of sys::new_mount.
Result<sys::DetachedMount> mount_dataset(const Dataset& dataset, std::uint64_t attributes);

/// Path of the volume's block device: /dev/zvol/NAME where udev makes it, else the /dev/zdN that
/// says this name of itself. It appears some time after the volume was made; Timeout when it does
/// not.
Result<std::string> volume_device(const Dataset& dataset, std::chrono::milliseconds timeout);

}  // namespace nexcage::storage::zfs
