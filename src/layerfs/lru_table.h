// A bounded table that forgets what was used least recently. One allocation for all entries, no
// pointer anywhere: entries have numbers, found by open addressing, ordered by a list of numbers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace nexcage::layerfs {

/// Which entry goes when a new one needs its place: the one whose last use is longest ago. A list
/// whose links (Mark) lie in the entries; all is O(1). `Items` is a table's entries, each with a
/// member `mark`.
class RecencyList {
 public:
  using Entry = std::uint32_t;
  static constexpr Entry kNone = UINT32_MAX;
  struct Mark {
    Entry newer = kNone, older = kNone;
  };

  template <class Items>
  void add(Items& items, Entry entry) {
    items[entry].mark = {.newer = kNone, .older = newest_};
    (newest_ == kNone ? oldest_ : items[newest_].mark.newer) = entry;
    newest_ = entry;
  }
  template <class Items>
  void use(Items& items, Entry entry) {
    if (entry == newest_) return;
    remove(items, entry);
    add(items, entry);
  }
  template <class Items>
  void remove(Items& items, Entry entry) {
    const Mark mark = items[entry].mark;
    (mark.newer == kNone ? newest_ : items[mark.newer].mark.older) = mark.older;
    (mark.older == kNone ? oldest_ : items[mark.older].mark.newer) = mark.newer;
  }
  template <class Items>
  Entry oldest(const Items& /*items*/) const {
    return oldest_;
  }

 private:
  Entry newest_ = kNone, oldest_ = kNone;
};

/// Not thread-safe. `Hash` must spread its low 32 bits. `Recency` is RecencyList; the benchmarks
/// put other ways of finding the oldest entry in its place.
template <class Key, class Value, class Hash, class Recency = RecencyList>
class LruTable {
 public:
  /// For at most `capacity` entries, at least 1.
  explicit LruTable(std::size_t capacity)
      : capacity_(capacity == 0 ? 1 : capacity),
        slots_(std::bit_ceil(capacity_) * kSlotsPerEntry, kFreeSlot) {}

  /// The value, used from now on; nullptr. Valid until the next change.
  const Value* find(const Key& key) {
    const std::uint64_t slot = slots_[locate(key, hash_of(key))];
    if (slot == kFreeSlot) return nullptr;
    recency_.use(entries_, entry_of(slot));
    return &entries_[entry_of(slot)].value;
  }

  /// Adds or replaces. True when another entry had to go.
  bool put(const Key& key, Value value) {
    const std::uint32_t hash = hash_of(key);
    const std::size_t place = locate(key, hash);
    if (slots_[place] != kFreeSlot) {
      const Entry entry = entry_of(slots_[place]);
      entries_[entry].value = std::move(value);
      recency_.use(entries_, entry);
      return false;
    }
    const Entry entry = take_entry();
    Item& item = entries_[entry];
    item.key = key;
    item.value = std::move(value);
    item.place = static_cast<std::uint32_t>(place);
    slots_[place] = std::uint64_t{hash} << 32 | entry;
    ++size_;
    // Only now, since this may move the new one's slot.
    const bool full = size_ > capacity_;
    if (full) drop(recency_.oldest(entries_));
    recency_.add(entries_, entry);
    return full;
  }

  bool erase(const Key& key) {
    const std::uint64_t slot = slots_[locate(key, hash_of(key))];
    if (slot == kFreeSlot) return false;
    drop(entry_of(slot));
    return true;
  }

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }

 private:
  using Entry = std::uint32_t;
  struct Item {
    Key key{};
    Value value{};
    std::uint32_t place = 0;  // of its slot
    typename Recency::Mark mark{};
  };
  static constexpr std::uint64_t kFreeSlot = UINT64_MAX;
  // Three of four or more are free: most keys are found, or missed, at the first look.
  static constexpr std::size_t kSlotsPerEntry = 4;

  /// Spread again: neighbouring hashes (of small integers, say) would make long runs of full slots.
  std::uint32_t hash_of(const Key& key) const {
    return static_cast<std::uint32_t>((hash_(key) * std::uint64_t{0x9e3779b97f4a7c15}) >> 32);
  }
  static Entry entry_of(std::uint64_t slot) { return static_cast<Entry>(slot); }
  static std::uint32_t hash_in(std::uint64_t slot) {
    return static_cast<std::uint32_t>(slot >> 32);
  }

  /// Where the key is, or the free slot where it would be.
  std::size_t locate(const Key& key, std::uint32_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t place = hash & mask;
    while (slots_[place] != kFreeSlot &&
           (hash_in(slots_[place]) != hash || !(entries_[entry_of(slots_[place])].key == key)))
      place = (place + 1) & mask;
    return place;
  }

  Entry take_entry() {
    if (free_.empty()) {
      entries_.emplace_back();
      return static_cast<Entry>(entries_.size() - 1);
    }
    const Entry entry = free_.back();
    free_.pop_back();
    return entry;
  }

  void drop(Entry gone) {
    recency_.remove(entries_, gone);
    free_slot(entries_[gone].place);
    entries_[gone] = {};
    free_.push_back(gone);
    --size_;
  }

  /// Frees a slot and moves those up that stand after it only because it was taken: no tombstones.
  void free_slot(std::size_t place) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t hole = place;
    for (std::size_t at = (place + 1) & mask; slots_[at] != kFreeSlot; at = (at + 1) & mask) {
      const std::size_t home = hash_in(slots_[at]) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;  // the hole is before its home
      slots_[hole] = slots_[at];
      entries_[entry_of(slots_[hole])].place = static_cast<std::uint32_t>(hole);
      hole = at;
    }
    slots_[hole] = kFreeSlot;
  }

  std::size_t capacity_;
  std::size_t size_ = 0;
  std::vector<std::uint64_t> slots_;  // hash in the upper half, entry in the lower
  std::vector<Item> entries_;         // one more than the capacity: a new one comes first
  std::vector<Entry> free_;
  Recency recency_;
  Hash hash_{};
};

}  // namespace nexcage::layerfs
