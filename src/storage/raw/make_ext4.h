// Making an ext4 file system in a file.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/storage/raw/image.h"

namespace nexcage::storage::raw {

/// Formats it: every uuid given makes the same file system every time.
Result<> format_ext4(const std::string& path, const ImageSpec& spec, const Programs& programs);

/// Formats and fills it without a mount, and so that the same tree gives the same bytes (see
/// make_image).
Result<> make_reproducible_ext4(const std::string& path, const ImageSpec& spec,
                                const std::string& tree, const Programs& programs);

}  // namespace nexcage::storage::raw
