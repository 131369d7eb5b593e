// File systems that containers of one image share, and with them their page cache: each is attached
// once, at {store}/.mounts/{group}/{number}, when the first container comes, opened for later ones,
// and detached with the last. A mount namespace that does not see them gets its own. The group's
// directory is its lock: groups do not wait for each other.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/drivers/layer_store.h"
#include "nexcage/layerfs/drivers/mount_refs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs::erofs_driver {

class SharedMounts {
 public:
  /// Makes the file systems, lowest first, attached nowhere.
  using Make = std::function<Result<std::vector<sys::DetachedMount>>()>;
  /// Gets their roots (O_PATH) while nobody can detach them.
  using Use = std::function<Result<>(std::span<const UniqueFd> roots)>;

  /// The store must outlive it.
  static Result<SharedMounts> open(const LayerStore& store);

  /// Hands the `count` file systems of a group to `use`; makes them if they are not here. The
  /// caller has noted its mount in the group's MountRefs.
  Result<> with(const std::string& group, std::size_t count, const Make& make,
                const Use& use) const;
  /// Detaches the group's file systems unless a mount of it is noted.
  Result<> release(const std::string& group, const MountRefs& refs) const;
  /// The same for all groups: what a process that died may have left.
  Result<> sweep(const MountRefs& refs) const;

 private:
  SharedMounts(std::string path, UniqueFd dir) : path_(std::move(path)), dir_(std::move(dir)) {}
  /// ENOENT when nothing of the group was mounted, by anybody.
  Result<sys::FileLock> lock(const std::string& group, sys::FileLock::Kind kind) const;
  /// Makes the group's directory when it is missing.
  Result<sys::FileLock> lock_new(const std::string& group) const;
  /// The roots if all are mounted here; else empty.
  Result<std::vector<UniqueFd>> find(const std::string& group, std::size_t count) const;
  Result<> attach_all(const std::string& group,
                      const std::vector<sys::DetachedMount>& mounts) const;
  Result<> detach_all(const std::string& group) const;

  std::string path_;
  UniqueFd dir_;
};

}  // namespace nexcage::layerfs::erofs_driver
