// Files that share their blocks (ioctl_ficlone(2)).
#pragma once

#include <string>

#include "nexcage/base/error.h"

namespace nexcage::sys {

/// Makes the whole content of `to` that of `from` by sharing its blocks; each is copied when one of
/// the two is written. Never copies data: Unsupported, with the file system's name, where blocks
/// cannot be shared or the files lie in different file systems.
Result<> clone_file(int from, int to);

/// The name of the file system that a file lies in, for messages: "ext4" also for ext2 and ext3,
/// which have the same number; "type 0x..." when it is unknown.
Result<std::string> fs_name(int fd);

}  // namespace nexcage::sys
