// The datasets of images, and what is noted of them in the driver's store.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/layerfs/drivers/layer_store.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/storage/zfs/client.h"

namespace nexcage::layerfs::zfs_driver {

/// Of an image's dataset: the chain ID of its layers.
inline constexpr const char* kImageProperty = "org.nexcage:image";
/// Label of the snapshot of an image that is filled.
inline constexpr const char* kComplete = "complete";

/// done.json of an image.
struct ImageInfo {
  std::string parent;   // the configured dataset it lies in
  std::string dataset;  // below it
  std::vector<oci::Digest> diff_ids;
  std::uint64_t bytes = 0, entries = 0;
};

/// The key of a stack within one parent. Two parents may hold the same image.
std::string key_of(const std::vector<Layer>& layers, const storage::zfs::Parent& parent);

/// nullopt when nothing is noted under this key; LayerError when the note is damaged.
Result<std::optional<ImageInfo>> find_image(const LayerStore& store, const std::string& key);

/// The image's snapshot as its note names it.
struct Located {
  storage::zfs::Client client;
  storage::zfs::Dataset dataset;
  storage::zfs::Snapshot snapshot;
};
Result<Located> locate(const ImageInfo& info);

/// Makes and fills the dataset if it is not there. The caller holds the store's lock (shared).
Result<> prepare_image(const LayerStore& layers, const storage::zfs::Client& client,
                       const image::Store& store, const image::Image& image,
                       const Options& options);

/// For LayerStore::remove_stale: detaches and destroys a dataset that was to be noted, and was not.
Result<> undo_filling(int dir, const std::string& path);

}  // namespace nexcage::layerfs::zfs_driver
