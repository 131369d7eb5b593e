// Whether the bytes of a blob are what was promised: digest of the wire bytes, and of a layer also
// the digest of what they inflate to.
#pragma once

#include <optional>

#include "nexcage/image/content/stream.h"
#include "nexcage/oci/image.h"
#include "nexcage/registry/client/tar_staging.h"

namespace nexcage::registry::client {

struct BlobPromise {
  oci::Digest digest;
  std::uint64_t size = 0;
  /// Of a layer: how it is compressed, and the digest of the tar.
  struct Layer {
    oci::Compression compression{};
    oci::Digest diff_id;
  };
  std::optional<Layer> layer;
};

struct BlobVerdict {
  enum class Is : std::uint8_t {
    good,
    wrong_bytes,  // not the blob: another copy of it may be good
    bad_content,  // the blob, but damaged or not the layer it is said to be: InvalidImage for good
    failed,       // reading it failed
  };
  Is is = Is::good;
  std::optional<Error> error;
};

/// Reads `wire` to its end. A good compressed layer is left inflated in `tars` where it can be
/// written; that it cannot is nothing that is wrong with the blob.
BlobVerdict check_blob(image::content::ByteSource& wire, const BlobPromise& promise,
                       const TarStaging* tars = nullptr);

}  // namespace nexcage::registry::client
