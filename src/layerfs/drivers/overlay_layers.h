// Prepared layers of the overlay driver: {store}/{key}/fs is the layer's tree, with overlayfs'
// whiteouts and marks.
//
// A key is "d-" and the hex digits of the diff ID for a layer that took nothing from those below,
// so that every image with these bytes shares it, else "c-" and those of the chain ID.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/drivers/layer_store.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs::overlay {

/// What done.json says.
struct LayerInfo {
  std::string key;
  UnpackResult content;
  std::optional<oci::Digest> diff_id, parent;  // layers made by older versions have none
};
json::Value to_json(const LayerInfo& info);

/// Name of the directory with the tree.
inline constexpr const char* kTree = "fs";

/// Key that `layer` has when its content is this.
std::string key_of(const Layer& layer, const UnpackResult& content);
/// Keys the layer can have.
std::vector<std::string> possible_keys(const Layer& layer);

/// The path of a prepared layer's tree.
std::string tree_path(const LayerStore& store, const std::string& key);
/// The layer if it is prepared.
Result<std::optional<LayerInfo>> find_layer(const LayerStore& store, const Layer& layer);
/// nullopt when nothing of this key is prepared.
Result<std::optional<LayerInfo>> find_key(const LayerStore& store, const std::string& key);

}  // namespace nexcage::layerfs::overlay
