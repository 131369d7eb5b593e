#include "nexcage/image/verify.h"

#include <algorithm>

#include "nexcage/image/helper.h"

namespace nexcage::image {

namespace {

Result<BlobCheck> parse_check(const json::Value& value) {
  NX_TRY(oci::Digest digest, oci::Digest::parse(value.text("digest")), "the helper's report");
  BlobCheck check{.what = value.text("what"), .digest = std::move(digest), .error = std::nullopt};
  const json::Value* size = value.find("size");
  check.size = size != nullptr ? size->as_u64().value_or(0) : 0;
  if (const json::Value* error = value.find("error")) check.error = error_from_json(*error);
  return check;
}

json::Value to_json(const BlobCheck& check) {
  json::Object out;
  out.set("what", check.what);
  out.set("digest", check.digest.str());
  out.set("size", check.size);
  if (check.error) out.set("error", error_to_json(*check.error));
  return out;
}

/// Elements of an array member; empty when it is missing.
const json::Array& array_at(const json::Value& value, std::string_view name) {
  static const json::Array none;
  const json::Value* member = value.find(name);
  const json::Array* array = member != nullptr ? member->if_array() : nullptr;
  return array != nullptr ? *array : none;
}

}  // namespace

bool VerifyReport::ok() const {
  return std::ranges::none_of(blobs, [](const BlobCheck& blob) { return blob.error.has_value(); });
}

json::Value to_json(const VerifyReport& report) {
  json::Array names, blobs;
  for (const oci::Reference& name : report.names) names.emplace_back(name.str());
  for (const BlobCheck& check : report.blobs) blobs.push_back(to_json(check));
  json::Object out;
  out.set("manifest", report.manifest.str());
  out.set("names", std::move(names));
  out.set("blobs", std::move(blobs));
  return out;
}

Result<VerifyReport> parse_verify_report(const json::Value& value) {
  NX_TRY(oci::Digest manifest, oci::Digest::parse(value.text("manifest")), "the helper's report");
  VerifyReport report{.manifest = std::move(manifest), .names = {}, .blobs = {}};
  for (const json::Value& element : array_at(value, "names")) {
    if (auto reference = oci::Reference::parse(element.text()))
      report.names.push_back(*std::move(reference));
  }
  for (const json::Value& element : array_at(value, "blobs")) {
    NX_TRY(BlobCheck check, parse_check(element));
    report.blobs.push_back(std::move(check));
  }
  return report;
}

Result<VerifyReport> verify_image(std::string_view what, const Store& store,
                                  const std::string& libexec_dir) {
  json::Object message;
  message.set("root", store.root());
  message.set("image", what);
  std::string context = "verify " + std::string(what);
  NX_TRY(json::Value answer, call_helper(libexec_dir, "verify", std::move(message)), context);
  return parse_verify_report(answer);
}

}  // namespace nexcage::image
