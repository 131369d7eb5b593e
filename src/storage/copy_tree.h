// A whole tree of files copied as it is.
#pragma once

#include <string>

#include "nexcage/base/error.h"

namespace nexcage::storage {

/// Copies what is in the directory `from` to the directory `to`, which exists, and the directory's
/// own owner, mode and times: links, holes, devices, attributes and access control lists included;
/// what is mounted below `from` is left out. `to` may be the path of one of our descriptors. By
/// cp(1); blocks are shared where both lie on one file system that can. FileError with its words,
/// with ENOSPC when there is no room; RuntimeNotAvailable without it.
///
/// What cp keeps was compared on ext4 and xfs, and is everything but: access times of symlinks are
/// those of the copy, and xfs has no device numbers above 14 + 18 bits (an error).
Result<> copy_tree(const std::string& from, const std::string& to, const std::string& cp = "cp");

}  // namespace nexcage::storage
