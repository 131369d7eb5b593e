// ZFS through its own programs, zfs(8) and zpool(8), 2.1 and later: arguments as a vector, answers
// as -H -p gives them. Every call is one process unless it says more.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/storage/zfs/call.h"
#include "nexcage/storage/zfs/dataset.h"
#include "nexcage/storage/zfs/failure.h"
#include "nexcage/storage/zfs/listing.h"
#include "nexcage/storage/zfs/properties.h"

namespace nexcage::storage::zfs {

/// Names on PATH, or paths.
struct Programs {
  std::string zfs = "zfs";
  std::string zpool = "zpool";
};

enum class Ancestors : std::uint8_t {
  must_exist,
  make,  // what lacks between the parent and the dataset, with mountpoint=none and canmount=off
};
enum class Allocation : std::uint8_t {
  sparse,    // writes fail once the pool is full
  reserved,  // the whole size is taken from the pool at once
};
enum class Newer : std::uint8_t {
  refuse,   // newer snapshots: Failure::has_dependents
  destroy,  // they are destroyed; clones of them: Failure::has_dependents
};
/// Which children.
enum class Depth : std::uint8_t { direct, all };

/// The datasets below one parent. A value; it holds nothing open. What zfs refuses is an error as
/// in failure.h; RuntimeNotAvailable when a program is not found; Timeout when it does not end.
class Client {
 public:
  explicit Client(Parent parent, Programs programs = {});

  const Parent& parent() const { return parent_; }

  /// ZFS is here and the parent is a file system. RuntimeNotAvailable: no program, module or
  /// /dev/zfs; ConfigError: no such dataset, or a volume; PermissionDenied.
  Result<> probe() const;

  /// A new file system, not mounted. Failure::exists when there is one, whatever made it. With
  /// Ancestors::make one more process for each ancestor that lacks, and they stay on failure.
  Result<> create(const Dataset& dataset, const Properties& properties, Ancestors ancestors) const;
  /// A new volume of at least `bytes`: zfs(8) rounds up to a multiple of the block size
  /// (volblocksize).
  Result<> create_volume(const Dataset& dataset, std::uint64_t bytes, Allocation allocation,
                         const Properties& properties) const;
  Result<> snapshot(const Snapshot& snapshot, const Properties& properties = {}) const;
  /// A new dataset with the content of `of`. Its parent must exist. zfs(8) mounts it where its
  /// mountpoint is a path; that this does not succeed is logged and no error. `program` takes the
  /// arguments of `zfs clone` instead of zfs(8): libexec/nexcage/zfs.
  Result<> clone(const Snapshot& of, const Dataset& to, const Properties& properties,
                 const std::string& program = {}) const;
  /// The dataset's content becomes that of its snapshot, in every mount of it; files that are open
  /// and are not in the snapshot then fail with EIO.
  Result<> rollback(const Snapshot& snapshot, Newer newer) const;
  /// With its children and snapshots. The new name's parent must exist.
  Result<> rename(const Dataset& from, const Dataset& to) const;
  /// The clone takes over from its origin the snapshots up to the one it was made of. ConfigError
  /// when the origin lies outside of the parent, which this would change. Two processes.
  Result<> promote(const Dataset& dataset) const;
  /// The dataset alone: Failure::has_dependents when it has children, snapshots or clones. None of
  /// this name is success. Where it is mounted in this mount namespace it is unmounted first, also
  /// when something else then keeps it busy. While it is busy, tries again for `patience`: what
  /// used it (another mount namespace, udev) may just be ending.
  Result<> destroy(const Dataset& dataset, std::chrono::milliseconds patience = {}) const;
  /// Failure::has_dependents when it has clones, busy when it is held. None is success.
  Result<> destroy(const Snapshot& snapshot) const;
  /// All snapshots of the dataset itself, or on failure none. None to destroy is success.
  Result<> destroy_snapshots(const Dataset& dataset) const;

  Result<bool> exists(const Dataset& dataset) const;
  Result<bool> exists(const Snapshot& snapshot) const;
  /// Value of a property, sizes and times as plain numbers. Inherited values count. nullopt: no
  /// such dataset, or the property is not set.
  Result<std::optional<std::string>> property(const Dataset& dataset,
                                              const std::string& name) const;
  /// Those of `names` that are set. Failure::no_such_dataset when the dataset does not exist.
  Result<std::map<std::string, std::string>> properties(
      const Dataset& dataset, const std::vector<std::string>& names) const;
  /// All of them in one step. A quota is taken away with "none".
  Result<> set(const Dataset& dataset, const Properties& properties) const;

  /// The dataset's own snapshots, oldest first.
  Result<std::vector<SnapshotInfo>> snapshots(const Dataset& dataset) const;
  /// What lies below the parent, in the order of names; the parent itself is not listed.
  Result<std::vector<DatasetInfo>> children(Depth depth) const;
  Result<std::vector<DatasetInfo>> children(const Dataset& of, Depth depth) const;

  /// Writes the snapshot to `fd` as a stream (zfs-send(8)); with `base`, an older snapshot of the
  /// same dataset or the origin of it, only what changed since. No time limit: `fd` may be slow.
  Result<> send(const Snapshot& snapshot, const Snapshot* base, int fd) const;
  /// Makes the dataset from a stream, not mounted; an incremental stream goes onto the newest
  /// snapshot. No time limit. On failure nothing of the stream stays.
  Result<> receive(const Dataset& dataset, int fd, const Properties& properties = {}) const;

  /// The pool that the parent lies in.
  Result<PoolInfo> pool() const;
  /// Of the parent with all that lies below it.
  Result<Space> space() const;

 private:
  Result<std::string> zfs(std::string attempted, const std::vector<std::string>& arguments,
                          Streams streams = {}) const;
  Result<> change(std::string attempted, const std::vector<std::string>& arguments,
                  Streams streams = {}) const;
  /// A Dataset may have been made by another Parent than ours.
  Result<> check(std::string_view dataset) const;
  Result<> check(const Dataset& dataset) const { return check(dataset.name()); }
  Result<> make_ancestors(const Dataset& dataset) const;
  Result<std::map<std::string, std::string>> get(const std::string& dataset,
                                                 const std::vector<std::string>& names) const;
  Result<std::vector<DatasetInfo>> list_below(const std::string& name, Depth depth) const;

  Parent parent_;
  Programs programs_;
};

}  // namespace nexcage::storage::zfs
