// What was read and parsed of prepared layers, kept for the next question: bounded, least recently
// used goes first, any number of threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "nexcage/layerfs/lru_table.h"

namespace nexcage::layerfs {

struct CacheStats {
  std::uint64_t hits = 0, misses = 0, evictions = 0;
  std::size_t size = 0, capacity = 0;  // entries
};

/// Values are copied out, so that nobody holds what another thread evicts. Hash as for LruTable.
template <class Key, class Value, class Hash, class Recency = RecencyList>
class MetadataCache {
 public:
  /// `capacity` entries in all. More shards than one let more threads in at a time, and make each
  /// forget by its own share of the uses.
  explicit MetadataCache(std::size_t capacity, std::size_t shards = 1)
      : count_(std::clamp<std::size_t>(shards, 1, std::max<std::size_t>(capacity, 1))),
        shards_(std::make_unique<std::unique_ptr<Shard>[]>(count_)) {
    for (std::size_t i = 0; i < count_; ++i)
      shards_[i] = std::make_unique<Shard>((capacity + count_ - 1) / count_);
  }

  std::optional<Value> find(const Key& key) {
    Shard& shard = shard_of(key);
    const std::scoped_lock lock(shard.mutex);
    const Value* value = shard.table.find(key);
    ++(value == nullptr ? shard.misses : shard.hits);
    return value == nullptr ? std::nullopt : std::optional<Value>(*value);
  }
  void put(const Key& key, Value value) {
    Shard& shard = shard_of(key);
    const std::scoped_lock lock(shard.mutex);
    if (shard.table.put(key, std::move(value))) ++shard.evictions;
  }
  bool erase(const Key& key) {
    Shard& shard = shard_of(key);
    const std::scoped_lock lock(shard.mutex);
    return shard.table.erase(key);
  }

  CacheStats stats() const {
    CacheStats all;
    for (std::size_t i = 0; i < count_; ++i) {
      const Shard& shard = *shards_[i];
      const std::scoped_lock lock(shard.mutex);
      all.hits += shard.hits;
      all.misses += shard.misses;
      all.evictions += shard.evictions;
      all.size += shard.table.size();
      all.capacity += shard.table.capacity();
    }
    return all;
  }

 private:
  struct Shard {
    explicit Shard(std::size_t capacity) : table(capacity) {}
    mutable std::mutex mutex;
    LruTable<Key, Value, Hash, Recency> table;
    std::uint64_t hits = 0, misses = 0, evictions = 0;
  };
  Shard& shard_of(const Key& key) {
    // The table takes its bits of the hash from another product.
    if (count_ == 1) return *shards_[0];
    return *shards_[((Hash()(key) * std::uint64_t{0xd1b54a32d192ed03}) >> 32) * count_ >> 32];
  }

  std::size_t count_;
  std::unique_ptr<std::unique_ptr<Shard>[]> shards_;
};

}  // namespace nexcage::layerfs
