#include "nexcage/layerfs/drivers/overlay_prepare.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::overlay {
namespace {

/// One run of prepare_layers.
class Preparation {
 public:
  Preparation(const LayerStore& layers, const image::Store& store, const image::Image& image,
              const Unpacker& unpack)
      : layers_(layers),
        store_(store),
        image_(image),
        unpack_(unpack),
        ids_(layers_of(image)),
        infos_(ids_.size()) {}

  Result<std::vector<LayerInfo>> run() {
    NX_CHECK(find_all());
    if (std::ranges::all_of(infos_, [](const auto& info) { return info.has_value(); }))
      return result();
    NX_CHECK(layers_.remove_stale());
    NX_CHECK(claim_missing());
    NX_CHECK(find_all());  // another process may have made some while we waited
    for (std::size_t i = 0; i < ids_.size(); ++i)
      if (!infos_[i]) NX_CHECK(fill(i));
    NX_CHECK(publish());
    return result();
  }

 private:
  Result<> find_all() {
    for (std::size_t i = 0; i < ids_.size(); ++i)
      if (!infos_[i]) {
        NX_TRY(infos_[i], layers_.find(ids_[i]));
      }
    return {};
  }

  /// In the order of the chain IDs, the same in every process: two that need the same layers never
  /// wait for each other in a circle.
  Result<> claim_missing() {
    std::vector<std::size_t> order(ids_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, {}, [&](std::size_t i) { return ids_[i].chain_id.str(); });
    for (const std::size_t i : order) {
      if (infos_[i]) continue;
      NX_TRY(WorkDirectory work, WorkDirectory::claim(layers_, ids_[i]));
      work_.emplace(i, std::move(work));
    }
    return {};
  }

  Result<> fill(std::size_t index) {
    // The same bytes twice in one image: a self-contained layer serves both places.
    for (std::size_t i = 0; i < index; ++i)
      if (ids_[i].diff_id == ids_[index].diff_id && infos_[i]->content.self_contained) {
        infos_[index] = infos_[i];
        return {};
      }
    const image::LayerBlob& blob = image_.layers[index];
    const WorkDirectory& work = work_.at(index);
    NX_TRY(const UnpackResult content,
           unpack_(UnpackJob{.blob_path = store_.root() + "/" + blob.blob.digest.blob_path(),
                             .compression = blob.compression,
                             .digest = blob.blob.digest,
                             .diff_id = blob.diff_id,
                             .size = blob.blob.size,
                             .target = work.tree_path(),
                             .lowers = lowers_of(index)}));
    infos_[index] = LayerInfo{key_of(ids_[index], content), content};
    filled_.push_back(index);
    return work.complete(*infos_[index]);
  }

  /// Trees below a layer, nearest first, down to one that hides all others.
  std::vector<std::string> lowers_of(std::size_t index) const {
    std::vector<std::string> paths;
    for (std::size_t i = index; i-- > 0;) {
      const auto mine = work_.find(i);
      const bool unpublished = mine != work_.end() && std::ranges::count(filled_, i) > 0;
      paths.push_back(unpublished ? mine->second.tree_path() : layers_.tree_path(infos_[i]->key));
      if (infos_[i]->content.root_opaque) break;
    }
    return paths;
  }

  Result<> publish() {
    testpoint("layerfs.unpacked");
    NX_CHECK(layers_.sync());
    for (const std::size_t i : filled_) {
      auto work = work_.extract(i);
      NX_CHECK(std::move(work.mapped()).publish(infos_[i]->key));
    }
    testpoint("layerfs.published");
    return sys::fsync_fd(layers_.fd(), "the directory of layers");
  }

  std::vector<LayerInfo> result() const {
    std::vector<LayerInfo> all;
    all.reserve(infos_.size());
    for (const auto& info : infos_) all.push_back(*info);
    return all;
  }

  const LayerStore& layers_;
  const image::Store& store_;
  const image::Image& image_;
  const Unpacker& unpack_;
  std::vector<Layer> ids_;
  std::vector<std::optional<LayerInfo>> infos_;
  std::map<std::size_t, WorkDirectory> work_;  // by index of the layer
  std::vector<std::size_t> filled_;
};

}  // namespace

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

Result<std::vector<LayerInfo>> prepare_layers(const LayerStore& layers, const image::Store& store,
                                              const image::Image& image, const Unpacker& unpack) {
  return Preparation(layers, store, image, unpack).run();
}

}  // namespace nexcage::layerfs::overlay
