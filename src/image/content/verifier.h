// Re-reads an image's blobs: the whole of `image verify`, run by the helper.
#pragma once

#include <map>
#include <optional>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/image/layout.h"
#include "nexcage/image/verify.h"

namespace nexcage::image::content {

struct BlobResult {
  std::uint64_t size = 0;  // bytes
  std::optional<Error> error;
};
using BlobResults = std::map<oci::Digest, BlobResult>;
/// Reads all that an entry of index.json leads to and that is here; blobs in `known` are not read
/// again, those read are added. An entry that gives no image for this machine is reported, too.
VerifyReport verify_entry(const Layout& layout, const oci::Descriptor& entry, BlobResults& known);

/// Errors as verify_image().
Result<VerifyReport> run_verify(const Layout& layout, std::string_view what);

}  // namespace nexcage::image::content
