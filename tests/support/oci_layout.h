// Writes an OCI image layout from layers given as tar text, for tests: readable by nexcage's store
// and by other tools.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "nexcage/image/content/stream.h"
#include "nexcage/image/store.h"
#include "nexcage/oci/image.h"

namespace nexcage::testing {

class OciLayout {
 public:
  explicit OciLayout(std::string root) : root_(std::move(root)) {
    std::filesystem::create_directories(root_ + "/blobs/sha256");
    write("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    write_index();
  }
  const std::string& root() const { return root_; }

  /// Adds an image with these layers, lowest first, under a tag.
  image::Image add(const std::string& tag, const std::vector<std::string>& tars) {
    std::vector<image::LayerBlob> layers;
    std::string diff_ids, descriptors;
    for (const std::string& tar : tars) {
      const oci::Digest digest = blob(tar);
      const std::string comma = layers.empty() ? "" : ",";
      diff_ids += comma + "\"" + digest.str() + "\"";
      descriptors += comma + descriptor_json(oci::media::kLayerTar, digest, tar.size());
      layers.push_back(
          {descriptor(oci::media::kLayerTar, digest, tar.size()), digest, oci::Compression::none});
    }
    const std::string config =
        R"({"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[)" +
        diff_ids + "]}}";
    const oci::Digest config_digest = blob(config);
    const std::string manifest =
        R"({"schemaVersion":2,"mediaType":")" + std::string(oci::media::kManifest) +
        R"(","config":)" + descriptor_json(oci::media::kConfig, config_digest, config.size()) +
        R"(,"layers":[)" + descriptors + "]}";
    const oci::Digest digest = blob(manifest);
    std::string entry = descriptor_json(oci::media::kManifest, digest, manifest.size());
    entry.insert(entry.size() - 1,
                 R"(,"annotations":{"org.opencontainers.image.ref.name":")" + tag + R"("})");
    index_ += (index_.empty() ? "" : ",") + entry;
    write_index();
    const oci::Descriptor config_descriptor =
        descriptor(oci::media::kConfig, config_digest, config.size());
    return image::Image{
        .names = {},
        .entry = descriptor(oci::media::kManifest, digest, manifest.size()),
        .manifest_descriptor = descriptor(oci::media::kManifest, digest, manifest.size()),
        .manifest = {.media_type = std::string(oci::media::kManifest),
                     .config = config_descriptor,
                     .layers = {},
                     .annotations = {},
                     .subject = {}},
        .config = {},
        .layers = std::move(layers)};
  }

 private:
  static oci::Descriptor descriptor(std::string_view type, const oci::Digest& digest,
                                    std::size_t size) {
    return {.media_type = std::string(type),
            .digest = digest,
            .size = size,
            .platform = {},
            .annotations = {},
            .artifact_type = {},
            .document = {}};
  }
  static std::string descriptor_json(std::string_view type, const oci::Digest& digest,
                                     std::size_t size) {
    return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + digest.str() +
           R"(","size":)" + std::to_string(size) + "}";
  }
  oci::Digest blob(const std::string& content) {
    const oci::Digest digest = image::content::sha256_of(content);
    write(digest.blob_path(), content);
    return digest;
  }
  void write(const std::string& name, const std::string& content) {
    std::ofstream(root_ + "/" + name, std::ios::binary | std::ios::trunc) << content;
  }
  void write_index() { write("index.json", R"({"schemaVersion":2,"manifests":[)" + index_ + "]}"); }

  std::string root_;
  std::string index_;
};

}  // namespace nexcage::testing
