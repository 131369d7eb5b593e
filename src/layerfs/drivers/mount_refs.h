// Which prepared things are under a mount: {store}/.refs/{group}/{hash of the target}.json. No
// process stays with a container, so what is in use is written down. A group is what mounts share;
// it is unused when its directory is empty, which rmdir(2) tells in one step.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::layerfs {

class MountRefs {
 public:
  /// `store` is {root}/{driver}; the directory is created.
  static Result<MountRefs> open(int store);

  /// Notes that `target` is about to be mounted from the things of these keys.
  Result<> add(const std::string& group, const std::string& target,
               const std::vector<std::string>& keys) const;
  /// Missing is success.
  Result<> remove(const std::string& group, const std::string& target) const;
  /// No mount of the group is noted.
  Result<bool> unused(const std::string& group) const;

  /// Mounts of each key. A note is stale when its target is no mount point any more. Where that
  /// cannot be seen (the note was made in another mount namespace of this boot, and the target
  /// directory still exists) it counts as in use.
  using Counts = std::map<std::string, std::uint32_t>;
  Result<Counts> in_use() const;
  /// The same, and stale notes go. For the holder of the store's exclusive lock: of a mount that is
  /// being made there is a note before there is a mount.
  Result<Counts> remove_stale() const;
  /// Removes the group's notes of earlier boots.
  Result<> forget_earlier_boots(const std::string& group) const;

 private:
  explicit MountRefs(UniqueFd dir) : dir_(std::move(dir)) {}
  enum class Stale : std::uint8_t { keep, remove };
  Result<Counts> count(Stale stale) const;
  UniqueFd dir_;
};

}  // namespace nexcage::layerfs
