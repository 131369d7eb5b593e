// All blobs of one image, several at a time.
#pragma once

#include <vector>

#include "nexcage/registry/client/blob_fetch.h"

namespace nexcage::registry::client {

/// Brings every blob into the staging directory, or finds it there. The first error ends all; what
/// has come so far stays on disk for the next pull.
Result<> fetch_blobs(const std::vector<BlobPromise>& blobs, const BlobFetch::With& with);

}  // namespace nexcage::registry::client
