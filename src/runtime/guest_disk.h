// The root file system of a guest that is a virtual machine: an image as a raw disk.
#pragma once

#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

/// Makes {work}/root.raw, an ext4 file system with the files of the image, as small as they permit
/// with a little room. Its layers are mounted meanwhile, in {work}. `id` names the undo log that
/// takes everything but the file away, also after a kill. LayerError, FileError,
/// RuntimeNotAvailable.
Result<backends::GuestImage::Disk> make_guest_disk(const image::Store& store,
                                                   const image::Image& image, const std::string& id,
                                                   const std::string& work, const Services& with);

/// Bytes of a file system that so many files (directories and others included) with so many bytes,
/// each file's rounded up to blocks, fit into.
std::uint64_t disk_size(std::uint64_t files, std::uint64_t bytes);

}  // namespace nexcage::runtime
