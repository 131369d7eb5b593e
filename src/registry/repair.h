// Fetching again what an image of the store has lost.
#pragma once

#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/layout.h"
#include "nexcage/registry/pull.h"

namespace nexcage::registry {

/// Removes the damaged blobs of an image and pulls, by the entry's digest, what it then lacks, from
/// the registry it came from (mirrors and policy as for a pull). Names stay as they are. The
/// errors of a pull; Unsupported for an image that was not pulled.
Result<> refetch_blobs(const image::Layout& layout, const oci::Digest& entry,
                       const std::vector<oci::Digest>& damaged, const Choices& choices,
                       const TransferPlace& place, const TransferWatch& watch);

}  // namespace nexcage::registry
