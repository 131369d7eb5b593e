// Which layer lies on which: a forest by chain IDs, each layer with the one below as its parent.
// Nothing recurses and no digest is copied about: each is kept once and has a number.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/binary_digest.h"

namespace nexcage::layerfs {

class LayerGraph {
 public:
  using Node = std::uint32_t;
  static constexpr Node kNone = UINT32_MAX;

  /// Makes room for so many layers at once.
  void reserve(std::size_t layers);

  /// Adds a layer; `parent` (is_none(): nothing below) may come later or never. The same layer
  /// again is no change, and neither is one whose parent contradicts: then `contradicts(node)`.
  Node add(const BinaryDigest& layer, const BinaryDigest& parent);

  /// The node of a layer that was added; kNone.
  Node find(const BinaryDigest& layer) const;
  /// Nodes there are: layers, and parents that nobody added.
  std::size_t size() const { return ids_.size(); }
  const BinaryDigest& id(Node node) const { return ids_[node]; }
  Node parent(Node node) const { return parents_[node]; }
  /// Named as a parent, but never added.
  bool is_missing(Node node) const { return (flags_[node] & kAdded) == 0; }
  bool contradicts(Node node) const { return (flags_[node] & kContradicts) != 0; }

  /// Every layer after the one it lies on; O(n).
  struct Order {
    std::vector<Node> sorted;   // those whose stack is whole
    std::vector<Node> orphans;  // those with something missing below, parents first; the missing
                                // ones themselves are not among them
    std::vector<Node> cyclic;   // those on a circle or above one: no hash is its own parent's, so
                                // what said so is damaged
  };
  Order order() const;

  /// For each node the nodes right above it: `above(n)` after this call, until the next add.
  void index_children();
  std::span<const Node> above(Node node) const {
    return std::span(children_).subspan(starts_[node], starts_[node + 1] - starts_[node]);
  }

  /// Bytes on the heap.
  std::size_t memory() const;

 private:
  static constexpr std::uint8_t kAdded = 1, kContradicts = 2;

  Node intern(const BinaryDigest& digest);
  void grow(std::size_t slots);
  std::size_t slot_of(const BinaryDigest& digest) const;

  BinaryDigestHash hash_;
  std::vector<BinaryDigest> ids_;
  std::vector<Node> parents_;
  std::vector<std::uint8_t> flags_;
  std::vector<Node> table_;  // open addressing, a power of two; kNone: free
  std::vector<Node> starts_, children_;
};

}  // namespace nexcage::layerfs
