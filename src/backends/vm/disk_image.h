// A disk image that a spec names as the root file system (vm.image).
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::backends::vm {

struct DiskImage {
  UniqueFd file;
  bool qcow2 = false;
  std::string file_system;  // "ext4", "xfs", "squashfs", "erofs"
};

/// Opens it and reads its headers. Unsupported for a format other than raw and qcow2; InvalidConfig
/// for what is no regular file, for a qcow2 image that refers to other files (backing file,
/// external data) or is encrypted, and for content without a file system that the guest knows.
Result<DiskImage> open_disk_image(const std::string& path, const std::string& format,
                                  bool read_only);

}  // namespace nexcage::backends::vm
