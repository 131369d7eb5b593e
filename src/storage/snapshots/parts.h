// What the kinds of snapshots share.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/storage/snapshots/snapshots.h"
#include "nexcage/sys/fs.h"

namespace nexcage::storage {

/// A snapshot with what orders those of one second.
struct Dated {
  SnapshotInfo info;
  std::uint64_t nanoseconds = 0;
  std::uint64_t serial = 0;
};
/// Oldest first.
std::vector<SnapshotInfo> by_age(std::vector<Dated> found);

/// Opens the directory of the snapshots; an empty descriptor when it does not exist.
Result<UniqueFd> open_if_there(const std::string& directory);

/// One change at a time: held while snapshots are made, removed, or rolled back to.
Result<sys::FileLock> lock_snapshots(int directory);

/// What is being put in place of `name`: a leftover of it goes with the next change.
std::string replacement_name(const std::string& name);

/// The errors of a name that is taken, or of one that is not there.
Error exists_already(const std::string& name);
Error no_such_snapshot(const std::string& name);

}  // namespace nexcage::storage
