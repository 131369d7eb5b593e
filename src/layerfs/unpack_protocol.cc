#include "nexcage/layerfs/unpack_protocol.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace nexcage::layerfs {
namespace {

struct CompressionName {
  oci::Compression compression;
  std::string_view name;
};
constexpr std::array<CompressionName, 3> kCompressions = {{{oci::Compression::none, "none"},
                                                           {oci::Compression::gzip, "gzip"},
                                                           {oci::Compression::zstd, "zstd"}}};

Error bad_member(std::string_view name) {
  return Error(Errc::InvalidJson, "unpack: /" + std::string(name) + " is missing or wrong");
}

Result<std::string> text(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  if (member == nullptr || member->if_string() == nullptr) return fail(bad_member(name));
  return *member->if_string();
}

Result<std::uint64_t> number(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  const auto found = member == nullptr ? std::nullopt : member->as_u64();
  if (!found) return fail(bad_member(name));
  return *found;
}

Result<bool> boolean(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  if (member == nullptr || member->if_bool() == nullptr) return fail(bad_member(name));
  return *member->if_bool();
}

Result<oci::Digest> digest(const json::Value& value, std::string_view name) {
  NX_TRY(const std::string member, text(value, name));
  return oci::Digest::parse(member);
}

Result<oci::Compression> compression(const json::Value& value) {
  NX_TRY(const std::string name, text(value, "compression"));
  for (const CompressionName& known : kCompressions)
    if (known.name == name) return known.compression;
  return fail(bad_member("compression"));
}

Result<std::vector<std::string>> texts(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  if (member == nullptr || member->if_array() == nullptr) return fail(bad_member(name));
  std::vector<std::string> result;
  for (const json::Value& item : *member->if_array()) {
    if (item.if_string() == nullptr) return fail(bad_member(name));
    result.push_back(*item.if_string());
  }
  return result;
}

}  // namespace

json::Value to_json(const UnpackJob& job) {
  json::Object object;
  object.set("blob", job.blob_path);
  for (const CompressionName& known : kCompressions)
    if (known.compression == job.compression) object.set("compression", known.name);
  object.set("digest", job.digest.str());
  object.set("diff_id", job.diff_id.str());
  object.set("size", job.size);
  object.set("target", job.target);
  json::Array lowers;
  for (const std::string& lower : job.lowers) lowers.emplace_back(lower);
  object.set("lowers", std::move(lowers));
  return object;
}

json::Value to_json(const UnpackResult& result) {
  json::Object object;
  object.set("self_contained", result.self_contained);
  object.set("bytes", result.bytes);
  object.set("entries", result.entries);
  object.set("root_entry", result.root_entry);
  object.set("root_opaque", result.root_opaque);
  return object;
}

Result<UnpackJob> unpack_job_from_json(const json::Value& value) {
  NX_TRY(std::string blob_path, text(value, "blob"));
  NX_TRY(const oci::Compression kind, compression(value));
  NX_TRY(oci::Digest blob_digest, digest(value, "digest"));
  NX_TRY(oci::Digest diff_id, digest(value, "diff_id"));
  NX_TRY(const std::uint64_t size, number(value, "size"));
  NX_TRY(std::string target, text(value, "target"));
  NX_TRY(std::vector<std::string> lowers, texts(value, "lowers"));
  return UnpackJob{.blob_path = std::move(blob_path),
                   .compression = kind,
                   .digest = std::move(blob_digest),
                   .diff_id = std::move(diff_id),
                   .size = size,
                   .target = std::move(target),
                   .lowers = std::move(lowers)};
}

Result<UnpackResult> unpack_result_from_json(const json::Value& value) {
  UnpackResult result;
  NX_TRY(result.self_contained, boolean(value, "self_contained"));
  NX_TRY(result.bytes, number(value, "bytes"));
  NX_TRY(result.entries, number(value, "entries"));
  NX_TRY(result.root_entry, boolean(value, "root_entry"));
  NX_TRY(result.root_opaque, boolean(value, "root_opaque"));
  return result;
}

}  // namespace nexcage::layerfs
