// Making an image's layers present.
#pragma once

#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/layerfs/drivers/overlay_layers.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs::overlay {

/// Unpacks what is missing and publishes it, all layers with one sync. Returns what is known of
/// each layer, lowest first. The caller holds the store's lock (shared).
Result<std::vector<LayerInfo>> prepare_layers(const LayerStore& layers, const image::Store& store,
                                              const image::Image& image, const Unpacker& unpack);

}  // namespace nexcage::layerfs::overlay
