// Mounting an EROFS image whose data lies in other files.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs::erofs_driver {

/// How the kernel gets at the files.
enum class Source : std::uint8_t {
  files,  // as they are: Linux 6.12
  loops,  // each as a loop device
};
std::string_view source_name(Source source);

/// The image and its extra devices, in their order; open for reading.
struct ImageFiles {
  UniqueFd image;
  std::vector<UniqueFd> devices;
};

/// Mounts by descriptor, attached nowhere. Loop devices go with the mount. LayerError with the
/// kernel's message.
Result<sys::DetachedMount> mount_image(const ImageFiles& files, Source source);

/// True when `fd` lies in an EROFS.
Result<bool> is_erofs(int fd);

}  // namespace nexcage::layerfs::erofs_driver
