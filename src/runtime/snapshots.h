// Snapshots of what containers keep: the verbs of the group `snapshot`, and `checkpoint
// --storage-only`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/storage/snapshots/snapshots.h"

namespace nexcage::runtime {

/// Which snapshots go when a new one is made.
struct Retention {
  std::size_t keep = 0;   // so many stay, the new one included
  std::string beginning;  // only those whose names begin so count
};

/// Makes one of a container in any state; of one that runs it is what a power cut would leave.
/// Returns those that went. Unsupported where the storage cannot do it; InvalidState for a name
/// that is taken.
Result<std::vector<std::string>> make_snapshot(const std::string& id, const std::string& name,
                                               const std::optional<Retention>& retention,
                                               Services& services);
/// Oldest first.
Result<std::vector<storage::SnapshotInfo>> list_snapshots(const std::string& id,
                                                          Services& services);

struct RollBack {
  bool force = false;          // a running container is killed first
  bool discard_newer = false;  // ZFS: newer snapshots are destroyed
};
/// The container's files become those of the snapshot; it is stopped afterwards and can be started.
/// InvalidState while it runs, unless forced.
Result<> roll_back_to(const std::string& id, const std::string& name, const RollBack& how,
                      Services& services);
Result<> remove_snapshot(const std::string& id, const std::string& name, Services& services);

/// Makes the root file system of a container larger, running or not: a ZFS quota, or an image with
/// its file system. InvalidSpec for less than it has; Unsupported for a storage without a limit.
Result<> grow_storage(const std::string& id, std::uint64_t bytes, Services& services);

}  // namespace nexcage::runtime
