// Manifests and indexes: image-spec manifest.md, image-index.md, and Docker's schema 2.
#include "nexcage/oci/image.h"

#include <array>

#include "nexcage/base/text.h"
#include "nexcage/oci/image_fields.h"
#include "nexcage/oci/spec_out.h"

namespace nexcage::oci {
namespace {

constexpr std::array<std::string_view, 2> kManifestTypes = {media::kManifest,
                                                            media::kDockerManifest};
constexpr std::array<std::string_view, 2> kIndexTypes = {media::kIndex, media::kDockerList};
constexpr std::array<std::string_view, 2> kNotInManifest = {"manifests", "fsLayers"};
constexpr std::array<std::string_view, 3> kNotInIndex = {"layers", "config", "fsLayers"};

struct LayerType {
  std::string_view media_type;
  Compression compression;
};

constexpr std::array<LayerType, 11> kLayerTypes = {{
    {media::kLayerTar, Compression::none},
    {media::kLayerGzip, Compression::gzip},
    {media::kLayerZstd, Compression::zstd},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar", Compression::none},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::gzip},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Compression::zstd},
    {media::kDockerLayer, Compression::none},
    {media::kDockerLayerGzip, Compression::gzip},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::zstd},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar", Compression::none},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression::gzip},
}};

Result<Index> read_index(const json::Value& value, Known* known) {
  const Node node(value, "", Errc::InvalidImage, known);
  NX_CHECK(check_kind(node, kNotInIndex, kIndexTypes));
  Index index;
  int schema_version = 0;
  Fields fields(node);
  fields.required("schemaVersion", schema_version, Range{2, 2});
  fields.optional("mediaType", index.media_type);
  fields.required("manifests", index.manifests);
  fields.optional("annotations", index.annotations);
  NX_CHECK(std::move(fields).done());
  if (index.media_type.empty()) index.media_type = media::kIndex;
  return index;
}

}  // namespace

std::optional<Compression> layer_compression(std::string_view media_type) {
  for (const LayerType& type : kLayerTypes)
    if (type.media_type == media_type) return type.compression;
  return std::nullopt;
}

Result<> check_kind(const Node& node, std::span<const std::string_view> foreign,
                    std::span<const std::string_view> media_types) {
  if (node.value().if_object() == nullptr) return node.refuse_type("an object");
  if (const json::Value* version = node.value().find("schemaVersion"); version != nullptr)
    if (version->as_i64() == 1)
      return node.child("schemaVersion", *version)
          .refuse("schema 1 has no content digests and is not supported");
  for (std::string_view name : foreign)
    if (const json::Value* value = node.value().find(name); value != nullptr && !value->is_null())
      return node.child(name, *value).refuse("belongs to a document of another kind");
  const json::Value* type = node.value().find("mediaType");
  if (type == nullptr || type->is_null()) return {};
  std::string text;
  return read(node.child("mediaType", *type), text, OneOf{media_types});
}

Result<Manifest> parse_manifest(const json::Value& value) {
  const Node node(value, "", Errc::InvalidImage);
  NX_CHECK(check_kind(node, kNotInManifest, kManifestTypes));
  const json::Value* config = value.find("config");
  if (config == nullptr) return node.child("config", value).refuse("is missing");
  NX_TRY(Descriptor config_descriptor, parse_descriptor(*config, "/config"));

  Manifest manifest{{}, std::move(config_descriptor), {}, {}, {}};
  int schema_version = 0;
  Fields fields(node);
  fields.required("schemaVersion", schema_version, Range{2, 2});
  fields.optional("mediaType", manifest.media_type);
  fields.required("layers", manifest.layers);
  fields.optional("annotations", manifest.annotations);
  fields.optional("subject", manifest.subject);
  NX_CHECK(std::move(fields).done());
  if (manifest.media_type.empty()) manifest.media_type = media::kManifest;
  return manifest;
}

Result<Index> parse_index(const json::Value& value) {
  NX_TRY(Index index, read_index(value, nullptr));
  index.document = value;
  return index;
}

json::Value to_json(const Index& index) {
  json::Object out;
  out.append("schemaVersion", 2);
  out.append("mediaType", index.media_type.empty() ? std::string(media::kIndex) : index.media_type);
  json::Array manifests;
  for (const Descriptor& descriptor : index.manifests) manifests.push_back(to_json(descriptor));
  out.append("manifests", std::move(manifests));
  if (!index.annotations.empty()) {
    json::Object annotations;
    for (const auto& [name, text] : index.annotations) annotations.append(name, text);
    out.append("annotations", std::move(annotations));
  }
  Known known;
  if (read_index(index.document, &known)) append_unknown(out, index.document, known);
  return out;
}

}  // namespace nexcage::oci
