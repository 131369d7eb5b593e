// One layer of a conversion: its blob becomes its tar, and what the tar's members say is kept.
#pragma once

#include <cstdint>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/layerfs/tree/limits.h"
#include "nexcage/layerfs/tree/members.h"

namespace nexcage::layerfs::convert {

/// A layer that is read, verified and durable.
struct LayerInput {
  UniqueFd tar;  // readable
  std::uint64_t tar_bytes = 0;
  tree::Members members;
};

/// The layers of a job, lowest first; some at a time, as many as there are processors. A tar that
/// is missing is written while it is inflated. InvalidImage naming the blob for wrong size, digest,
/// diff ID or members; FileError; the first error in the order of
/// the layers.
Result<std::vector<LayerInput>> read_layers(const std::vector<ConvertJob::LayerIn>& layers,
                                            const tree::UnpackLimits& limits);

}  // namespace nexcage::layerfs::convert
