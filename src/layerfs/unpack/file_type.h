// What kind of file has a name in a layer's directory.
#pragma once

#include <cstdint>
#include <string>

#include "nexcage/base/error.h"

namespace nexcage::layerfs::unpack {

/// `whiteout` is overlayfs' character device 0:0; an image cannot have one of its own.
enum class FileType : std::uint8_t { missing, directory, symlink, whiteout, other };

/// Looks at the name itself, a symlink is not followed.
Result<FileType> file_type(int dir, const std::string& name);

}  // namespace nexcage::layerfs::unpack
