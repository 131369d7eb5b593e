// Which prepared layers are under a mount: {root}/overlay/.refs/{hash of the target}. No process
// stays with a container, so what is in use is written down.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::layerfs::overlay {

class MountRefs {
 public:
  /// `store` is {root}/overlay; the directory is created.
  static Result<MountRefs> open(int store);

  /// Where the note of `target` lies, relative to the store.
  static std::string note(const std::string& target);
  /// Notes that `target` is about to be mounted from these layers.
  Result<> add(const std::string& target, const std::vector<std::string>& keys) const;
  /// Missing is success.
  Result<> remove(const std::string& target) const;
  /// Keys in use. A note is stale, and removed, when its target is no mount point any more. Where
  /// that cannot be seen (the note was made in another mount namespace of this boot, and the target
  /// directory still exists) it counts as in use.
  Result<std::set<std::string>> in_use() const;

 private:
  explicit MountRefs(UniqueFd dir) : dir_(std::move(dir)) {}
  UniqueFd dir_;
};

}  // namespace nexcage::layerfs::overlay
