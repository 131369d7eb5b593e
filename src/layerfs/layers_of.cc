// The layers of an image as LayerFS identifies them.
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {

std::vector<Layer> layers_of(const image::Image& image) {
  std::vector<oci::Digest> diff_ids;
  diff_ids.reserve(image.layers.size());
  for (const image::LayerBlob& layer : image.layers) diff_ids.push_back(layer.diff_id);
  const std::vector<oci::Digest> chain_ids = image::chain_ids(diff_ids);
  std::vector<Layer> layers;
  layers.reserve(diff_ids.size());
  for (std::size_t i = 0; i < diff_ids.size(); ++i) layers.push_back({diff_ids[i], chain_ids[i]});
  return layers;
}

}  // namespace nexcage::layerfs
