#include "nexcage/layerfs/graph.h"

#include <algorithm>
#include <bit>

namespace nexcage::layerfs {

namespace {
constexpr std::size_t kFewest = 16;  // slots
}  // namespace

void LayerGraph::reserve(std::size_t layers) {
  ids_.reserve(layers);
  parents_.reserve(layers);
  flags_.reserve(layers);
  const std::size_t slots = std::bit_ceil(std::max(kFewest, layers * 2));
  if (slots > table_.size()) grow(slots);
}

std::size_t LayerGraph::slot_of(const BinaryDigest& digest) const {
  const std::size_t mask = table_.size() - 1;
  std::size_t slot = hash_(digest) & mask;
  while (table_[slot] != kNone && !(ids_[table_[slot]] == digest)) slot = (slot + 1) & mask;
  return slot;
}

void LayerGraph::grow(std::size_t slots) {
  table_.assign(slots, kNone);
  for (Node node = 0; node < ids_.size(); ++node) table_[slot_of(ids_[node])] = node;
}

LayerGraph::Node LayerGraph::intern(const BinaryDigest& digest) {
  if ((ids_.size() + 1) * 2 > table_.size()) grow(std::max(kFewest, table_.size() * 2));
  Node& place = table_[slot_of(digest)];
  if (place == kNone) {
    place = static_cast<Node>(ids_.size());
    ids_.push_back(digest);
    parents_.push_back(kNone);
    flags_.push_back(0);
  }
  return place;
}

LayerGraph::Node LayerGraph::add(const BinaryDigest& layer, const BinaryDigest& parent) {
  const Node node = intern(layer);
  const Node below = parent.is_none() ? kNone : intern(parent);
  if ((flags_[node] & kAdded) != 0 && parents_[node] != below) {
    flags_[node] |= kContradicts;
    return node;
  }
  flags_[node] |= kAdded;
  parents_[node] = below;
  return node;
}

LayerGraph::Node LayerGraph::find(const BinaryDigest& layer) const {
  if (table_.empty()) return kNone;
  const Node node = table_[slot_of(layer)];
  return node == kNone || is_missing(node) ? kNone : node;
}

LayerGraph::Order LayerGraph::order() const {
  Order order;
  order.sorted.reserve(ids_.size());
  enum class State : std::uint8_t { unseen, on_path, whole, orphan, cyclic };
  std::vector<State> states(ids_.size(), State::unseen);
  std::vector<Node> path;
  for (Node start = 0; start < ids_.size(); ++start) {
    // Down to something whose state is known, to the ground, or into our own path.
    Node at = start;
    while (at != kNone && states[at] == State::unseen && !is_missing(at)) {
      states[at] = State::on_path;
      path.push_back(at);
      at = parents_[at];
    }
    State below = State::whole;
    if (at != kNone) {
      if (is_missing(at))
        below = State::orphan;
      else
        below = states[at] == State::on_path ? State::cyclic : states[at];
    }
    std::vector<Node>& list = below == State::whole    ? order.sorted
                              : below == State::orphan ? order.orphans
                                                       : order.cyclic;
    // And up again: whatever lies on the path shares the fate of what it ends in.
    for (; !path.empty(); path.pop_back()) {
      states[path.back()] = below;
      list.push_back(path.back());
    }
  }
  return order;
}

void LayerGraph::index_children() {
  starts_.assign(ids_.size() + 2, 0);
  for (const Node below : parents_)
    if (below != kNone) ++starts_[below + 2];
  for (std::size_t i = 2; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
  children_.resize(starts_.back());
  for (Node node = 0; node < ids_.size(); ++node)
    if (parents_[node] != kNone) children_[starts_[parents_[node] + 1]++] = node;
}

std::size_t LayerGraph::memory() const {
  return ids_.capacity() * sizeof(BinaryDigest) + parents_.capacity() * sizeof(Node) +
         flags_.capacity() + table_.capacity() * sizeof(Node) +
         (starts_.capacity() + children_.capacity()) * sizeof(Node);
}

}  // namespace nexcage::layerfs
