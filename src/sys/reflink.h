// Files that share their blocks (ioctl_ficlone(2)).
#pragma once

#include <cstdint>
#include <string>

#include "nexcage/base/error.h"

namespace nexcage::sys {

/// Makes the whole content of `to` that of `from` by sharing its blocks; each is copied when one of
/// the two is written. Never copies data: Unsupported, with the file system's name, where blocks
/// cannot be shared or the files lie in different file systems.
Result<> clone_file(int from, int to);

/// Bytes of a file that no other file shares (FIEMAP, ioctl_fiemap(2)): what removing it would
/// free. Where a file system does not tell which are shared, all that it has on disk.
Result<std::uint64_t> unshared_bytes(int fd);

/// The name of the file system that a file lies in, for messages: "ext4" also for ext2 and ext3,
/// which have the same number; "type 0x..." when it is unknown.
Result<std::string> fs_name(int fd);

}  // namespace nexcage::sys
