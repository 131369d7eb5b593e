// Re-reads an image's blobs: the whole of `image verify`, run by the helper.
#pragma once

#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/image/layout.h"
#include "nexcage/image/verify.h"

namespace nexcage::image::content {

/// Errors as verify_image().
Result<VerifyReport> run_verify(const Layout& layout, std::string_view what);

}  // namespace nexcage::image::content
