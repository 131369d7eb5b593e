// Images together with what else of the machine knows them: containers and prepared layers.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/layerfs/garbage.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

enum class InUse : std::uint8_t { refuse, ignore };

struct RemovedImage {
  image::Store::Removed from_store;
  layerfs::Freed layers;  // prepared layers that no image needs any more
};

/// Removes a name, or by digest or ID the image with all its names. InvalidState when it is the
/// last name and a container still uses the image; with `InUse::ignore` the container keeps its
/// layers until it goes. Prepared layers that no other image needs are removed, too.
Result<RemovedImage> remove_image(const std::string& what, InUse in_use, Services& services);

}  // namespace nexcage::runtime
