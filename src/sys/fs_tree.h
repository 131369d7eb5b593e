// Walking a directory tree whose content somebody else may have made: no recursion, no symlink
// followed, no other mount entered, few descriptors whatever the depth.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "nexcage/base/error.h"

namespace nexcage::sys {

struct TreeWalk {
  /// `directories` is for file systems like cgroupfs, where only they can be removed.
  enum class Removal : std::uint8_t { nothing, directories, everything };
  Removal removal = Removal::nothing;
  /// Called with each directory before those in it; may be empty.
  std::function<Result<>(int directory)> visit;
};

/// Walks `name` (one component) in `dir` with all below. Missing is success. What disappears
/// meanwhile is skipped. EXDEV: something is mounted in the tree.
Result<> walk_tree(int dir, const std::string& name, const TreeWalk& walk);

}  // namespace nexcage::sys
