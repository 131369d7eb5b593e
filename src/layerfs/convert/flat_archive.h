// The tree of a stack as one archive.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/layerfs/flatten.h"

namespace nexcage::layerfs::convert {

/// Does the job of layerfs::flatten in this process; its errors.
Result<Flattened> write_archive(const FlattenJob& job);

}  // namespace nexcage::layerfs::convert
