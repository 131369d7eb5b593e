#include "nexcage/layerfs/tree/xattr_sets.h"

#include <algorithm>

#include "nexcage/layerfs/tree/keyed_hash.h"

namespace nexcage::layerfs::tree {
namespace {

std::uint64_t hash_of(std::span<const Xattr> set) {
  std::uint64_t hash = set.size();
  for (const Xattr& one : set) hash = keyed_hash(one.value, keyed_hash(one.name, hash));
  return hash;
}

}  // namespace

XattrSets::Id XattrSets::add(std::span<const Xattr> set, Arena& arena) {
  if (set.empty()) return kNone;
  const std::uint64_t hash = hash_of(set);
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto item = first; item != last; ++item)
    if (std::ranges::equal(set, sets_[item->second])) return item->second;
  std::vector<Xattr> copy;
  copy.reserve(set.size());
  for (const Xattr& one : set)
    copy.push_back({.name = arena.copy(one.name), .value = arena.copy(one.value)});
  const Id id = static_cast<Id>(sets_.size());
  sets_.push_back(arena.copy(std::span<const Xattr>(copy)));
  by_hash_.emplace(hash, id);
  return id;
}

std::uint64_t XattrSets::bytes() const {
  constexpr std::uint64_t kNode = 48;  // of the map, an estimate
  return sets_.capacity() * sizeof(std::span<const Xattr>) + by_hash_.size() * kNode;
}

}  // namespace nexcage::layerfs::tree
