// The plain ways of doing what LayerFS' structures do, for comparison only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "nexcage/oci/digest.h"

namespace nexcage::bench {

/// In the place of layerfs::RecencyList: each entry has the time of its last use, and the oldest is
/// looked for among all.
class LinearScan {
 public:
  using Entry = std::uint32_t;
  struct Mark {
    std::uint64_t used = 0;  // 0: not in use
  };
  template <class Items>
  void add(Items& items, Entry entry) {
    items[entry].mark.used = ++now_;
  }
  template <class Items>
  void use(Items& items, Entry entry) {
    items[entry].mark.used = ++now_;
  }
  template <class Items>
  void remove(Items& items, Entry entry) {
    items[entry].mark.used = 0;
  }
  template <class Items>
  Entry oldest(const Items& items) const {
    Entry oldest = 0;
    for (Entry entry = 1; entry < items.size(); ++entry)
      if (items[entry].mark.used != 0 &&
          (items[oldest].mark.used == 0 || items[entry].mark.used < items[oldest].mark.used))
        oldest = entry;
    return oldest;
  }

 private:
  std::uint64_t now_ = 0;
};

/// What is known of a layer before it becomes an object.
struct Source {
  std::string key;
  oci::Digest diff_id, chain_id, parent;
  bool has_parent = false;
  std::uint64_t bytes = 0, entries = 0;
};

/// One object on the heap for each layer, with its own strings.
struct HeapLayer {
  std::string key, kind, diff_id, chain_id, parent;
  std::uint64_t bytes = 0, entries = 0;
  std::uint32_t references = 0;
};

inline std::unique_ptr<HeapLayer> make_heap_layer(const Source& from) {
  auto layer = std::make_unique<HeapLayer>();
  layer->key = from.key;
  layer->kind = "index";
  layer->diff_id = from.diff_id.str();
  layer->chain_id = from.chain_id.str();
  if (from.has_parent) layer->parent = from.parent.str();
  layer->bytes = from.bytes;
  layer->entries = from.entries;
  return layer;
}

/// Order by parent with sets of digests in which each is a string of its own.
class VisitedSets {
 public:
  void add(const std::string& layer, const std::string& parent) { parents_[layer] = parent; }

  struct Order {
    std::vector<std::string> sorted, missing, cyclic;
  };
  Order order() {
    Order order;
    for (const auto& [layer, parent] : parents_) visit(layer, order);
    return order;
  }

 private:
  void visit(const std::string& layer, Order& order) {  // NOLINT(misc-no-recursion): the baseline
    if (visited_.contains(layer)) return;
    if (path_.contains(layer)) {
      order.cyclic.push_back(layer);
      return;
    }
    const auto known = parents_.find(layer);
    if (known == parents_.end()) {
      order.missing.push_back(layer);
      return;
    }
    path_.insert(layer);
    if (!known->second.empty()) visit(known->second, order);
    path_.erase(layer);
    visited_.insert(layer);
    order.sorted.push_back(layer);
  }

  std::unordered_map<std::string, std::string> parents_;
  std::unordered_set<std::string> visited_, path_;
};

}  // namespace nexcage::bench
