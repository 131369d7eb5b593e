// A stack of layers becomes what a root file system is mounted from (ConvertJob in layerfs.h).
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/layerfs/tree/limits.h"

namespace nexcage::layerfs::convert {

/// Does the job in this process, with threads of its own. InvalidImage for what is wrong with the
/// image, LayerError for what this host could not do. After an error files may be left: they lie in
/// the caller's directories.
Result<ConvertResult> convert(const ConvertJob& job, const tree::UnpackLimits& limits = {});

}  // namespace nexcage::layerfs::convert
