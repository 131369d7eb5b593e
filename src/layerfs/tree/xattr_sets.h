// Sets of extended attributes, equal ones kept once: most files of an image have none, and those
// that have any share a few.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nexcage/layerfs/tree/arena.h"

namespace nexcage::layerfs::tree {

struct Xattr {
  std::string_view name, value;
  bool operator==(const Xattr&) const = default;
};

class XattrSets {
 public:
  using Id = std::uint32_t;
  static constexpr Id kNone = 0;

  /// The number of a set that is sorted by name. Names and values are copied into `arena`, once.
  Id add(std::span<const Xattr> set, Arena& arena);
  std::span<const Xattr> get(Id id) const { return sets_[id]; }
  std::uint64_t bytes() const;

 private:
  std::vector<std::span<const Xattr>> sets_ = {{}};
  std::unordered_multimap<std::uint64_t, Id> by_hash_;
};

}  // namespace nexcage::layerfs::tree
