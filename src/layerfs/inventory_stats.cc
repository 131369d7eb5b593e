#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "nexcage/layerfs/inventory.h"

namespace nexcage::layerfs {
namespace {

void count(Inventory::Total& total, const LayerPool::Record& record) {
  ++total.count;
  total.bytes += record.bytes;
  total.entries += record.entries;
}

}  // namespace

Inventory::Stats Inventory::stats() const {
  Stats stats;
  std::map<std::pair<std::uint16_t, LayerKind>, Stats::Row> rows;
  pool_.each([&](LayerHandle thing) {
    const LayerPool::Record& record = pool_.at(thing);
    Stats::Row& row = rows[{record.owner, record.kind}];
    row.driver = driver(thing);
    row.kind = record.kind;
    row.references += record.references;
    count(row.all, record);
    count(stats.all, record);
    if (!flaw(thing).empty()) ++stats.flawed;
  });
  for (const LayerHandle thing : garbage()) {
    const LayerPool::Record& record = pool_.at(thing);
    count(rows[{record.owner, record.kind}].unused, record);
    count(stats.unused, record);
  }
  for (auto& [key, row] : rows) stats.rows.push_back(std::move(row));
  stats.images = names_.size();
  stats.layers = order_.sorted.size() + order_.orphans.size() + order_.cyclic.size();
  stats.shared_layers =
      static_cast<std::uint64_t>(std::ranges::count_if(uses_, [](auto uses) { return uses > 1; }));
  std::vector<std::uint32_t> depths(graph_.size(), 0);
  for (const LayerGraph::Node node : order_.sorted) {
    const LayerGraph::Node below = graph_.parent(node);
    depths[node] = 1 + (below == LayerGraph::kNone ? 0 : depths[below]);
    stats.deepest = std::max<std::uint64_t>(stats.deepest, depths[node]);
  }
  stats.memory = memory();
  return stats;
}

std::size_t Inventory::memory() const {
  // Of the hash tables the nodes: value, hash and a pointer.
  constexpr std::size_t kNode = 2 * sizeof(void*);
  return pool_.memory() + graph_.memory() + ends_.capacity() * sizeof(ImageEnd) +
         placed_.capacity() * sizeof(Placed) + contents_.capacity() * sizeof(BinaryDigest) +
         (uses_.capacity() + ranks_.capacity()) * sizeof(std::uint32_t) + fates_.capacity() +
         order_.sorted.capacity() * sizeof(LayerGraph::Node) +
         needed_contents_.size() * (sizeof(BinaryDigest) + kNode) +
         shared_.size() * (sizeof(BinaryDigest) + sizeof(LayerHandle) + kNode);
}

}  // namespace nexcage::layerfs
