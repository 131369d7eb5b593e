#include "nexcage/image/load.h"

#include <map>

#include "nexcage/base/text.h"

namespace nexcage::image {

namespace {

/// Indexes in indexes: the spec sets no limit, nobody goes beyond one.
constexpr int kMaxNesting = 4;

/// The manifest descriptor that an index leads to on this machine.
Result<oci::Descriptor> choose(const Layout& layout, oci::Descriptor descriptor) {
  for (int depth = 0; is_index_type(descriptor.media_type); ++depth) {
    std::string name = "index " + descriptor.digest.str();
    if (depth == kMaxNesting) return fail(Errc::InvalidImage, name + ": nested too deep");
    NX_TRY(json::Value document, layout.read_document(descriptor), name);
    NX_TRY(oci::Index index, oci::parse_index(document), name);
    const oci::Descriptor* chosen = oci::choose_platform(index, oci::host_platform());
    if (chosen == nullptr)
      return fail(Errc::ImageNotFound, name + ": has no image for " +
                                           oci::platform_text(oci::host_platform()) +
                                           ", only for " + oci::platform_list(index));
    oci::Descriptor next = *chosen;
    descriptor = std::move(next);
  }
  return descriptor;
}

Result<> collect_manifest(const json::Value& document, std::set<oci::Digest>& blobs) {
  NX_TRY(oci::Manifest manifest, oci::parse_manifest(document));
  blobs.insert(manifest.config.digest);
  for (const oci::Descriptor& layer : manifest.layers) blobs.insert(layer.digest);
  return {};
}

Result<> collect(const Layout& layout, const oci::Descriptor& descriptor,
                 std::set<oci::Digest>& blobs, int depth) {
  if (depth > kMaxNesting)
    return fail(Errc::InvalidImage, "index " + descriptor.digest.str() + ": nested too deep");
  blobs.insert(descriptor.digest);
  std::string name = "manifest " + descriptor.digest.str();
  NX_TRY(json::Value document, layout.read_document(descriptor), name);
  if (!is_index_type(descriptor.media_type)) {
    NX_CHECK(collect_manifest(document, blobs), name);
    return {};
  }
  NX_TRY(oci::Index index, oci::parse_index(document), name);
  for (const oci::Descriptor& entry : index.manifests) {
    // Tools copy one platform of an index: what is not there needs nothing.
    NX_TRY(bool present, sys::exists(layout.fd(), entry.digest.blob_path()));
    if (present) NX_CHECK(collect(layout, entry, blobs, depth + 1));
  }
  return {};
}

}  // namespace

bool is_index_type(std::string_view media_type) {
  return media_type == oci::media::kIndex || media_type == oci::media::kDockerList;
}

Result<std::vector<LayerBlob>> match_layers(const oci::Manifest& manifest,
                                            const oci::ImageConfig& config) {
  if (manifest.layers.size() != config.diff_ids.size())
    return fail(Errc::InvalidImage, "the manifest has " + std::to_string(manifest.layers.size()) +
                                        " layers, but config " + manifest.config.digest.str() +
                                        " has " + std::to_string(config.diff_ids.size()) +
                                        " diff IDs");
  std::vector<LayerBlob> layers;
  std::map<oci::Digest, oci::Digest> diff_ids;
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const oci::Descriptor& blob = manifest.layers[i];
    auto compression = oci::layer_compression(blob.media_type);
    if (!compression)
      return fail(Errc::InvalidImage, "layer " + blob.digest.str() + ": media type " +
                                          quote(blob.media_type) + " is no layer we can unpack");
    // Who fetches or unpacks a blob once may check it against one diff ID only.
    const auto known = diff_ids.emplace(blob.digest, config.diff_ids[i]).first;
    if (known->second != config.diff_ids[i])
      return fail(Errc::InvalidImage, "layer " + blob.digest.str() + " has two diff IDs: " +
                                          known->second.str() + " and " + config.diff_ids[i].str());
    layers.push_back({.blob = blob, .diff_id = config.diff_ids[i], .compression = *compression});
  }
  return layers;
}

Result<Image> load_image(const Layout& layout, const oci::Descriptor& descriptor) {
  NX_TRY(oci::Descriptor chosen, choose(layout, descriptor));
  std::string name = "manifest " + chosen.digest.str();
  NX_TRY(json::Value document, layout.read_document(chosen), name);
  NX_TRY(oci::Manifest manifest, oci::parse_manifest(document), name);
  NX_TRY(json::Value config_document, layout.read_document(manifest.config), name + ": config");
  NX_TRY(oci::ImageConfig config, oci::parse_image_config(config_document),
         name + ": config " + manifest.config.digest.str());
  NX_TRY(auto layers, match_layers(manifest, config), name);
  for (const LayerBlob& layer : layers) NX_CHECK(layout.open_blob(layer.blob), name + ": layer");
  return Image{.names = {},
               .entry = descriptor,
               .manifest_descriptor = std::move(chosen),
               .manifest = std::move(manifest),
               .config = std::move(config),
               .layers = std::move(layers)};
}

IdentityOf identities(const Layout& layout) {
  return [&layout](const oci::Descriptor& entry) -> std::optional<Identity> {
    auto chosen = choose(layout, entry);
    auto document = chosen ? layout.read_document(*chosen) : std::unexpected(chosen.error());
    auto manifest = document ? oci::parse_manifest(*document) : std::unexpected(document.error());
    if (!manifest) return std::nullopt;
    return Identity{.manifest = chosen->digest, .config = manifest->config.digest};
  };
}

Result<> collect_blobs(const Layout& layout, const oci::Descriptor& descriptor,
                       std::set<oci::Digest>& blobs) {
  return collect(layout, descriptor, blobs, 0);
}

}  // namespace nexcage::image
