// One layer: blob in, directory out.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/layerfs/tree/limits.h"

namespace nexcage::layerfs::unpack {

using tree::UnpackLimits;

/// Fills `job.target` from the blob, whose size, digest and diff ID are checked while it streams
/// through: the directory is of use only when this returned ok. InvalidImage naming the layer for
/// what is wrong with the blob; LayerError for what this host could not do (no space, no
/// permission). Sets the process's umask to 0 while it runs: for single-threaded helpers and tests.
Result<UnpackResult> unpack_layer(const UnpackJob& job, const UnpackLimits& limits = {});

}  // namespace nexcage::layerfs::unpack
