// Copying one file that is no directory, with everything it has.
#pragma once

#include <cstdint>
#include <string>

#include "nexcage/base/error.h"

namespace nexcage::layerfs::unpack {

/// Copies the file `from_name` of `from_dir` (symlink not followed) as `to_name` of `to_dir`, which
/// must not exist: type, data with its holes, owner, mode, attributes, times. Returns the bytes of
/// data copied. FileError for what the file system could not do.
Result<std::uint64_t> copy_file(int from_dir, const std::string& from_name, int to_dir,
                                const std::string& to_name);

}  // namespace nexcage::layerfs::unpack
