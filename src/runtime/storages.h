// The storages that this configuration offers, and what a container would get: the verbs of the
// group `storage`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/storage/select.h"

namespace nexcage::runtime {

struct StorageInfo {
  std::string name;                       // as --storage takes it
  std::string location;                   // directory or dataset
  std::string file_system;                // "ext4", "btrfs", "zfs"
  std::uint64_t size = 0, available = 0;  // bytes
  std::string health;                     // zfs: of the pool; else empty
  std::string snapshots;                  // how snapshots are made; empty: not
  std::uint64_t containers = 0;           // that have their files there
  bool is_default = false;
  std::optional<Error> error;  // why it cannot be used
};
/// Storages "local" and, where a dataset is configured, "zfs"; and every directory that containers
/// have been given. One that cannot be used is listed with its error.
Result<std::vector<StorageInfo>> list_storages(Services& services);

/// What the request's container would get, and why (phase 1 alone). Nothing is made or pulled.
Result<storage::Choice> explain_storage(const Request& request, const Services& services);

}  // namespace nexcage::runtime
