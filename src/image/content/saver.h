// Writes images of the store as an archive: the whole of `image save`, run by the helper.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/image/archive.h"
#include "nexcage/image/layout.h"

namespace nexcage::image::content {

/// Writes to `output`, a descriptor. Errors as save_images().
Result<> run_save(const Layout& layout, const SaveRequest& request, int output);

}  // namespace nexcage::image::content
