#include "nexcage/layerfs/drivers/overlay_prepare.h"

#include <sys/stat.h>

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
        NX_TRY(infos_[i], find_layer(layers_, ids_[i]));
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
      NX_TRY(WorkDirectory work, claim(ids_[i]));
      work_.emplace(i, std::move(work));
    }
    return {};
  }

  Result<WorkDirectory> claim(const Layer& layer) {
    NX_TRY(WorkDirectory work, WorkDirectory::claim(layers_, std::string(layer.chain_id.hex())));
    if (mkdirat(work.fd(), kTree, 0700) != 0) return fail_errno("create a layer's directory");
    return work;
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
                             .target = work.path() + "/" + kTree,
                             .lowers = lowers_of(index)}));
    infos_[index] = LayerInfo{.key = key_of(ids_[index], content),
                              .content = content,
                              .diff_id = ids_[index].diff_id,
                              .parent = {}};
    if (!content.self_contained && index > 0) infos_[index]->parent = ids_[index - 1].chain_id;
    filled_.push_back(index);
    // Durable with the store's sync().
    return work.complete(to_json(*infos_[index]), sys::Durable::no);
  }

  /// Trees below a layer, nearest first, down to one that hides all others.
  std::vector<std::string> lowers_of(std::size_t index) const {
    std::vector<std::string> paths;
    for (std::size_t i = index; i-- > 0;) {
      // Not yet at its place: filled by us, for this layer or for an earlier one of the same bytes.
      const auto filled = std::ranges::find_if(
          filled_, [&](std::size_t one) { return infos_[one]->key == infos_[i]->key; });
      paths.push_back(filled != filled_.end() ? work_.at(*filled).path() + "/" + kTree
                                              : tree_path(layers_, infos_[i]->key));
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

Result<std::vector<LayerInfo>> prepare_layers(const LayerStore& layers, const image::Store& store,
                                              const image::Image& image, const Unpacker& unpack) {
  return Preparation(layers, store, image, unpack).run();
}

}  // namespace nexcage::layerfs::overlay
