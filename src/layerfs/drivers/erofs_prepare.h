// Making an image's tars and EROFS images present.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/layerfs/drivers/layer_store.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs::erofs_driver {

/// What of a stack is to be there.
struct StackKeys {
  /// merged, full: one; index: one for each layer, lowest first; plain: none.
  std::vector<std::string> images;
  std::vector<std::string> tars;  // one for each layer; form full: none
};
StackKeys keys_of(const std::vector<Layer>& layers, ConvertForm form);

/// How a stack is prepared.
struct Preparing {
  ConvertForm form{};
  int inbox = -1;  // directory of layers that are inflated already (borrowed); -1: none
};

/// Converts what is missing and publishes it. The caller holds the store's lock (shared).
Result<> prepare_stack(const LayerStore& layers, const image::Store& store,
                       const image::Image& image, const Preparing& how, const Options& options);

}  // namespace nexcage::layerfs::erofs_driver
