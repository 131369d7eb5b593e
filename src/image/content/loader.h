// Takes every image of an archive into the store: the whole of `image load`, run by the helper.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/archive.h"
#include "nexcage/image/layout.h"

namespace nexcage::image::content {

/// From the file `path`, or from the descriptor `input` when it is empty. Errors as load_images().
Result<std::vector<LoadedImage>> run_load(const Layout& layout, const std::string& path, int input);

}  // namespace nexcage::image::content
