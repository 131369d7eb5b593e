#include "nexcage/layerfs/drivers/overlay_layers.h"

#include <utility>

#include "nexcage/layerfs/message.h"
#include "nexcage/layerfs/unpack_protocol.h"

namespace nexcage::layerfs::overlay {
namespace {

constexpr std::string_view kByDiff = "d-";
constexpr std::string_view kByChain = "c-";

Result<LayerInfo> parse_info(const std::string& key, const json::Value& done) {
  LayerInfo info{.key = key, .content = {}, .diff_id = {}, .parent = {}};
  NX_TRY(info.content, unpack_result_from_json(done));
  const Message message(done, "prepared layer");
  if (message.has("diff_id")) {
    NX_TRY(info.diff_id, message.digest("diff_id"));
  }
  if (message.has("parent")) {
    NX_TRY(info.parent, message.digest("parent"));
  }
  return info;
}

}  // namespace

json::Value to_json(const LayerInfo& info) {
  json::Value done = layerfs::to_json(info.content);
  if (info.diff_id) done.if_object()->set("diff_id", info.diff_id->str());
  if (info.parent) done.if_object()->set("parent", info.parent->str());
  return done;
}

std::string key_of(const Layer& layer, const UnpackResult& content) {
  return content.self_contained ? std::string(kByDiff) + std::string(layer.diff_id.hex())
                                : std::string(kByChain) + std::string(layer.chain_id.hex());
}

std::vector<std::string> possible_keys(const Layer& layer) {
  UnpackResult content;
  content.self_contained = false;
  return {key_of(layer, UnpackResult{}), key_of(layer, content)};
}

std::string tree_path(const LayerStore& store, const std::string& key) {
  return store.path() + "/" + key + "/" + kTree;
}

Result<std::optional<LayerInfo>> find_key(const LayerStore& store, const std::string& key) {
  NX_TRY(const std::optional<json::Value> done, store.find(key));
  if (!done) return std::optional<LayerInfo>();
  auto info = parse_info(key, *done);
  if (!info) return fail(store.damaged(key, std::move(info).error()));
  return std::optional(std::move(*info));
}

Result<std::optional<LayerInfo>> find_layer(const LayerStore& store, const Layer& layer) {
  for (const std::string& key : possible_keys(layer)) {
    NX_TRY(auto found, find_key(store, key));
    if (found) return found;
  }
  return std::optional<LayerInfo>();
}

}  // namespace nexcage::layerfs::overlay
