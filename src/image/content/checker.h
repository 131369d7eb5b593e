// Reads every blob that an image of the store needs: run by the helper for `system check`.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/image/check.h"
#include "nexcage/image/layout.h"

namespace nexcage::image::content {

/// Each blob once, however many images share it. Errors as check_store().
Result<StoreCheck> run_check(const Layout& layout);

}  // namespace nexcage::image::content
