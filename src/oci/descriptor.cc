// Descriptors: image-spec descriptor.md.
#include <limits>

#include "nexcage/base/text.h"
#include "nexcage/oci/image_fields.h"
#include "nexcage/oci/spec_out.h"

namespace nexcage::oci {
namespace {

constexpr Range kSize{0, std::numeric_limits<std::int64_t>::max()};

std::string media_type(std::string_view text) {
  return text.empty() ? not_empty(text) : printable(text);
}

Result<Digest> read_digest(const Node& node) {
  std::string text;
  NX_CHECK(read(node, text));
  auto digest = Digest::parse(text);
  if (!digest) return node.refuse(digest.error().message());
  return digest;
}

/// A descriptor without its `document`.
Result<Descriptor> read_descriptor(const Node& node) {
  std::string type;
  std::uint64_t size = 0;
  std::optional<Platform> platform;
  Annotations annotations;
  std::string artifact_type;
  Fields fields(node);
  fields.required("mediaType", type, media_type);
  fields.required("size", size, kSize);
  fields.optional("platform", platform);
  fields.optional("annotations", annotations);
  fields.optional("artifactType", artifact_type, printable);
  const json::Value* digest_value = fields.present("digest");
  if (digest_value == nullptr) fields.refuse("digest", "is missing");
  NX_CHECK(std::move(fields).done());
  NX_TRY(Digest digest, read_digest(node.child("digest", *digest_value)));
  return Descriptor{std::move(type),        std::move(digest),        size, std::move(platform),
                    std::move(annotations), std::move(artifact_type), {}};
}

Result<Descriptor> read_whole(const Node& node) {
  NX_TRY(Descriptor descriptor, read_descriptor(node));
  descriptor.document = node.value();
  return descriptor;
}

}  // namespace

static json::Value write(const Platform& platform) {
  Out out;
  out.always("architecture", platform.architecture);
  out.always("os", platform.os);
  out.some("os.version", platform.os_version);
  out.some("os.features", platform.os_features);
  out.some("variant", platform.variant);
  return std::move(out).take();
}

Result<> read(const Node& node, Platform& out) {
  Fields fields(node);
  fields.required("architecture", out.architecture, printable);
  fields.required("os", out.os, printable);
  fields.optional("variant", out.variant, printable);
  fields.optional("os.version", out.os_version, printable);
  fields.optional("os.features", out.os_features, printable);
  return std::move(fields).done();
}

Result<> read(const Node& node, std::vector<Digest>& out) {
  const json::Array* array = node.value().if_array();
  if (array == nullptr) return node.refuse_type("an array");
  for (std::size_t i = 0; i < array->size(); ++i) {
    NX_TRY(Digest digest, read_digest(node.child(i, (*array)[i])));
    out.push_back(std::move(digest));
  }
  return {};
}

Result<> read(const Node& node, std::vector<Descriptor>& out) {
  const json::Array* array = node.value().if_array();
  if (array == nullptr) return node.refuse_type("an array");
  for (std::size_t i = 0; i < array->size(); ++i) {
    NX_TRY(Descriptor descriptor, read_whole(node.child(i, (*array)[i])));
    out.push_back(std::move(descriptor));
  }
  return {};
}

Result<> read(const Node& node, std::optional<Descriptor>& out) {
  NX_TRY(out, read_whole(node));
  return {};
}

Result<Descriptor> parse_descriptor(const json::Value& value, std::string_view pointer) {
  return read_whole(Node(value, pointer, Errc::InvalidImage));
}

void append_unknown(json::Object& out, const json::Value& document, const Known& known) {
  for (const auto& [name, value] : *document.if_object())
    if (!known.contains(&value)) out.append(name, value);
}

json::Value to_json(const Descriptor& descriptor) {
  json::Object out;
  out.append("mediaType", descriptor.media_type);
  out.append("digest", descriptor.digest.str());
  out.append("size", descriptor.size);
  if (descriptor.platform) out.append("platform", write(*descriptor.platform));
  if (!descriptor.annotations.empty()) {
    json::Object annotations;
    for (const auto& [name, text] : descriptor.annotations) annotations.append(name, text);
    out.append("annotations", std::move(annotations));
  }
  if (!descriptor.artifact_type.empty()) out.append("artifactType", descriptor.artifact_type);
  Known known;
  if (read_descriptor(Node(descriptor.document, "", Errc::InvalidImage, &known)))
    append_unknown(out, descriptor.document, known);
  return out;
}

}  // namespace nexcage::oci
