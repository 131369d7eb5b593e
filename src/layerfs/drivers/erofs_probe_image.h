// A tiny EROFS image, made by hand, to ask the kernel what it can mount
// (Documentation/filesystems/erofs.rst; fs/erofs/erofs_fs.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nexcage::layerfs::erofs_driver {

/// The image has one file, kProbeName, whose data is block 0 of an extra device.
inline constexpr std::string_view kProbeName = "f";

/// `block_bits`: 9 for blocks of 512 bytes, 12 for 4 KiB. The extra device is one block long.
std::string probe_image(unsigned block_bits);
/// The extra device: the file's whole content.
std::string probe_device(unsigned block_bits);

}  // namespace nexcage::layerfs::erofs_driver
