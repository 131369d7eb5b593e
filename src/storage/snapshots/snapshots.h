// Snapshots of a container's storage: one interface, whatever the storage is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::storage {

struct SnapshotInfo {
  std::string name;
  std::uint64_t created = 0;           // seconds since 1970
  std::optional<std::uint64_t> bytes;  // that only it holds, where the storage knows
};

/// The snapshots of one container. Names are those of check_snapshot_name.
class Snapshots {
 public:
  virtual ~Snapshots() = default;
  Snapshots() = default;
  Snapshots(const Snapshots&) = delete;
  Snapshots& operator=(const Snapshots&) = delete;

  /// InvalidState when there is one of this name; Unsupported where the storage cannot do it.
  virtual Result<> create(const std::string& name) = 0;
  /// Oldest first.
  virtual Result<std::vector<SnapshotInfo>> list() = 0;
  /// The contents become those of the snapshot, which stays. Nothing of the storage may be mounted.
  /// After a failure, or a kill at any point, they are the old ones or the new ones whole.
  /// InvalidState when there is no such snapshot.
  virtual Result<> rollback(const std::string& name) = 0;
  /// InvalidState when there is no such snapshot.
  virtual Result<> remove(const std::string& name) = 0;
};

/// [A-Za-z0-9_.:-]{1,128}, not beginning with '-' or '.'. InvalidSpec otherwise.
Result<> check_snapshot_name(std::string_view name);

/// Those that go when the newest `keep` stay, oldest first. `snapshots`: oldest first.
std::vector<std::string> beyond(const std::vector<SnapshotInfo>& snapshots, std::size_t keep);

/// Of a directory that is a btrfs subvolume: read-only snapshots {directory}/{name}, on the same
/// file system. `directory` is made when the first one is. Unsupported when `subvolume` is none.
Result<std::unique_ptr<Snapshots>> open_subvolume_snapshots(const std::string& subvolume,
                                                            const std::string& directory);

/// Of an image file: {directory}/{name}.raw, which shares its blocks with the image. Unsupported,
/// when the first one is made, where the file system cannot share blocks. `mounted`: a directory
/// in which the image is mounted now; it is frozen for the moment of the copy.
Result<std::unique_ptr<Snapshots>> open_image_snapshots(const std::string& image,
                                                        const std::string& directory,
                                                        const std::optional<std::string>& mounted);

}  // namespace nexcage::storage
