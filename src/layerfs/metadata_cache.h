// What was read and parsed of prepared layers, kept for the next question: bounded, least recently
// used goes first, any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "nexcage/base/short_lock.h"
#include "nexcage/layerfs/lru_table.h"

namespace nexcage::layerfs {

struct CacheStats {
  std::uint64_t hits = 0, misses = 0, evictions = 0;
  std::size_t size = 0, capacity = 0;  // entries
};

/// Values are copied out, so that nobody holds what another thread evicts. Hash as for LruTable.
/// One lock: it is held for some ten nanoseconds, and to divide the entries among several brought
/// nothing (docs/adr/0016).
template <class Key, class Value, class Hash, class Recency = RecencyList>
class MetadataCache {
 public:
  explicit MetadataCache(std::size_t capacity) : table_(capacity) {}

  std::optional<Value> find(const Key& key) {
    const std::scoped_lock lock(mutex_);
    const Value* value = table_.find(key);
    ++(value == nullptr ? misses_ : hits_);
    return value == nullptr ? std::nullopt : std::optional<Value>(*value);
  }
  void put(const Key& key, Value value) {
    const std::scoped_lock lock(mutex_);
    if (table_.put(key, std::move(value))) ++evictions_;
  }
  bool erase(const Key& key) {
    const std::scoped_lock lock(mutex_);
    return table_.erase(key);
  }

  CacheStats stats() const {
    const std::scoped_lock lock(mutex_);
    return {.hits = hits_,
            .misses = misses_,
            .evictions = evictions_,
            .size = table_.size(),
            .capacity = table_.capacity()};
  }

 private:
  mutable ShortLock mutex_;
  LruTable<Key, Value, Hash, Recency> table_;
  std::uint64_t hits_ = 0, misses_ = 0, evictions_ = 0;
};

}  // namespace nexcage::layerfs
