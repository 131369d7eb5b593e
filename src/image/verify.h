// Reading an image's blobs again and comparing them with their digests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/digest.h"

namespace nexcage::image {

struct BlobCheck {
  std::string what;  // "manifest", "config", "layer 0"
  oci::Digest digest;
  std::uint64_t size = 0;      // bytes, as promised
  std::optional<Error> error;  // what is wrong with it
};

struct VerifyReport {
  oci::Digest manifest;
  std::vector<oci::Reference> names;
  std::vector<BlobCheck> blobs;  // manifest, config, layers; those a damaged one hides are missing
  bool ok() const;
};

/// Hashes every blob of the image, inflates its layers and compares their diff IDs, in the helper.
/// A damaged image is a report, not an error; ImageNotFound when there is none of this name.
Result<VerifyReport> verify_image(std::string_view what, const Store& store,
                                  const std::string& libexec_dir);

json::Value to_json(const VerifyReport& report);
Result<VerifyReport> parse_verify_report(const json::Value& value);

}  // namespace nexcage::image
