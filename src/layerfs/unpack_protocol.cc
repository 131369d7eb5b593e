#include "nexcage/layerfs/unpack_protocol.h"

#include <string>
#include <utility>

#include "nexcage/layerfs/message.h"

namespace nexcage::layerfs {

json::Value to_json(const UnpackJob& job) {
  json::Object object;
  object.set("blob", job.blob_path);
  object.set("compression", compression_name(job.compression));
  object.set("digest", job.digest.str());
  object.set("diff_id", job.diff_id.str());
  object.set("size", job.size);
  object.set("target", job.target);
  object.set("lowers", to_json(job.lowers));
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
  const Message message(value, "unpack");
  NX_TRY(std::string blob_path, message.text("blob"));
  NX_TRY(const oci::Compression kind, message.compression("compression"));
  NX_TRY(oci::Digest blob_digest, message.digest("digest"));
  NX_TRY(oci::Digest diff_id, message.digest("diff_id"));
  NX_TRY(const std::uint64_t size, message.number("size"));
  NX_TRY(std::string target, message.text("target"));
  NX_TRY(std::vector<std::string> lowers, message.texts("lowers"));
  return UnpackJob{.blob_path = std::move(blob_path),
                   .compression = kind,
                   .digest = std::move(blob_digest),
                   .diff_id = std::move(diff_id),
                   .size = size,
                   .target = std::move(target),
                   .lowers = std::move(lowers)};
}

Result<UnpackResult> unpack_result_from_json(const json::Value& value) {
  const Message message(value, "unpack");
  UnpackResult result;
  NX_TRY(result.self_contained, message.boolean("self_contained"));
  NX_TRY(result.bytes, message.number("bytes"));
  NX_TRY(result.entries, message.number("entries"));
  NX_TRY(result.root_entry, message.boolean("root_entry"));
  NX_TRY(result.root_opaque, message.boolean("root_opaque"));
  return result;
}

}  // namespace nexcage::layerfs
