// The image store of the configuration in effect, for the verbs of the group `image`.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/cli/context.h"
#include "nexcage/image/store.h"

namespace nexcage::cli {

/// Opens it, and makes it when there is none yet.
Result<image::Store> open_images(Context& context);

}  // namespace nexcage::cli
