// The snapshots of a container's dataset, as snapshots/snapshots.h wants them.
#pragma once

#include <memory>

#include "nexcage/base/error.h"
#include "nexcage/storage/snapshots/snapshots.h"
#include "nexcage/storage/zfs/owned.h"

namespace nexcage::storage::zfs {

/// A dataset can only go back to its newest snapshot: with Newer::destroy those in between go, else
/// they are in the way (InvalidState with the hint).
std::unique_ptr<Snapshots> open_dataset_snapshots(OwnedDataset dataset, Newer newer);

}  // namespace nexcage::storage::zfs
