// The tree as plain files: for file systems that are filled, not mounted.
#pragma once

#include <span>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::layerfs::tree {

/// Fills an empty directory (a descriptor, borrowed, not O_PATH) with the whole tree; it becomes
/// the root. Data comes from `tars`, regular files, by the extents' `source`. Modes, owners,
/// attributes and times are exact, those of directories set last; holes stay holes. Needs root.
/// Nothing is synced. After an error the directory holds an unknown part. FileError; InvalidImage
/// for a tar that is shorter than an extent says.
Result<> materialise(const Tree& tree, std::span<const int> tars, int directory);

}  // namespace nexcage::layerfs::tree
