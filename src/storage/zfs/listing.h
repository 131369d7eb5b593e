// What `zfs list`, `zfs get` and `zpool list` answer with -H -p: one line for each thing, fields
// between tabs, plain numbers. The parsers are pure; a line that is not of this form is ZFSError.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/storage/zfs/dataset.h"

namespace nexcage::storage::zfs {

struct SnapshotInfo {
  std::string label;             // what follows the '@'
  std::uint64_t created = 0;     // seconds since 1970
  std::uint64_t used = 0;        // bytes that no other snapshot and not the dataset needs
  std::uint64_t referenced = 0;  // bytes
  std::uint64_t clones = 0;      // datasets made of it; their DatasetInfo::origin is its name
  bool operator==(const SnapshotInfo&) const = default;
};

struct DatasetInfo {
  std::string path;  // below the parent, as Parent::child takes it
  bool is_volume = false;
  std::uint64_t used = 0;  // bytes, with its snapshots and children
  std::uint64_t available = 0;
  std::uint64_t referenced = 0;
  std::string mountpoint;  // "legacy", "none" or a path; empty for a volume
  std::string origin;      // snapshot that it is a clone of; empty: of none
  bool operator==(const DatasetInfo&) const = default;
};

struct PoolInfo {
  std::string name;
  std::string health;  // ONLINE, DEGRADED, FAULTED, OFFLINE, REMOVED, UNAVAIL or SUSPENDED
  std::uint64_t size = 0, allocated = 0, free = 0;  // bytes of the devices, redundancy included
  bool operator==(const PoolInfo&) const = default;
};

/// Bytes. What can be stored in all is used + available.
struct Space {
  std::uint64_t used = 0;
  std::uint64_t available = 0;  // quotas and reservations of all ancestors taken into account
  std::uint64_t quota = 0;      // 0: none
  bool operator==(const Space&) const = default;
};

/// Value of `-o` for these parsers.
inline constexpr const char* kSnapshotFields = "name,creation,used,referenced,numclones";
inline constexpr const char* kDatasetFields =
    "name,type,used,available,referenced,mountpoint,origin";
inline constexpr const char* kPoolFields = "name,health,size,allocated,free";

Result<std::vector<SnapshotInfo>> parse_snapshots(std::string_view text, const Dataset& of);
/// Without the line of `listed` itself, a name that is the parent or lies below it.
Result<std::vector<DatasetInfo>> parse_datasets(std::string_view text, const Parent& parent,
                                                std::string_view listed);
Result<PoolInfo> parse_pool(std::string_view text);
/// `zfs get -o property,value` of these names: those that are set. The lines must be those of the
/// names in their order, so that no value can pass for another property.
Result<std::map<std::string, std::string>> parse_properties(std::string_view text,
                                                            std::span<const std::string> names);
/// From the properties used, available and quota.
Result<Space> parse_space(const std::map<std::string, std::string>& properties);

}  // namespace nexcage::storage::zfs
