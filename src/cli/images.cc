#include "nexcage/cli/images.h"

namespace nexcage::cli {

Result<image::Store> open_images(Context& context) {
  NX_TRY(const runtime::Settings settings, context.settings());
  return image::Store::open(settings.images, image::Store::IfMissing::create);
}

}  // namespace nexcage::cli
