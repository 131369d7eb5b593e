// An image that is a block device instead of a file: a volume of ZFS.
#pragma once

#include <cstdint>
#include <string>

#include "nexcage/base/error.h"

namespace nexcage::storage::raw {

/// An open image is a block device.
Result<bool> is_device(int image);

/// Size of an open image in bytes, of the file or of the device.
Result<std::uint64_t> size_of(int image);

/// "/dev/NAME" of an open block device, as the kernel names it.
Result<std::string> device_name(int device);

/// InvalidState when the device is mounted, or held by something else of the kernel's.
Result<> check_unused(int device);

}  // namespace nexcage::storage::raw
