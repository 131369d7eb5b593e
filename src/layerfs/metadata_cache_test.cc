#include "nexcage/layerfs/metadata_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <list>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace nexcage::layerfs {
namespace {

using Cache = MetadataCache<std::string, std::string, std::hash<std::string>>;
/// Every key in one place.
struct BadHash {
  std::size_t operator()(int) const { return 7; }
};
struct PlainHash {
  std::size_t operator()(int key) const { return static_cast<std::size_t>(key); }
};

TEST(MetadataCache, ForgetsWhatWasUsedLeastRecently) {
  Cache cache(3);
  for (const char* key : {"a", "b", "c"}) cache.put(key, key);
  EXPECT_EQ(cache.find("a"), "a");
  cache.put("d", "d");
  EXPECT_EQ(cache.find("b"), std::nullopt);
  EXPECT_EQ(cache.find("a"), "a");
  cache.put("c", "new");
  cache.put("e", "e");  // d is the oldest now
  EXPECT_EQ(cache.find("d"), std::nullopt);
  EXPECT_EQ(cache.find("c"), "new");
  const CacheStats stats = cache.stats();
  EXPECT_EQ(stats.hits, 3u);
  EXPECT_EQ(stats.misses, 2u);
  EXPECT_EQ(stats.evictions, 2u);
  EXPECT_EQ(stats.size, 3u);
  EXPECT_EQ(stats.capacity, 3u);
}

TEST(MetadataCache, ErasedIsGone) {
  Cache cache(2);
  cache.put("a", "1");
  EXPECT_TRUE(cache.erase("a"));
  EXPECT_FALSE(cache.erase("a"));
  EXPECT_EQ(cache.find("a"), std::nullopt);
  cache.put("b", "2");
  cache.put("c", "3");
  EXPECT_EQ(cache.stats().evictions, 0u);
}

/// The same calls on the table and on a plain list of pairs, newest first.
template <class Hash>
void compare_with_model(std::size_t capacity, int keys, int calls) {
  LruTable<int, int, Hash> table(capacity);
  std::list<std::pair<int, int>> model;
  std::mt19937 random(42);
  for (int i = 0; i < calls; ++i) {
    const int key = std::uniform_int_distribution(0, keys - 1)(random);
    const auto at = std::ranges::find(model, key, &std::pair<int, int>::first);
    switch (random() % 4) {
      case 0:
        ASSERT_EQ(table.erase(key), at != model.end());
        if (at != model.end()) model.erase(at);
        break;
      case 1: {
        const int* found = table.find(key);
        ASSERT_EQ(found != nullptr, at != model.end());
        if (found == nullptr) break;
        ASSERT_EQ(*found, at->second);
        model.splice(model.begin(), model, at);
        break;
      }
      default: {
        const bool evicts = at == model.end() && model.size() == capacity;
        ASSERT_EQ(table.put(key, i), evicts);
        if (at != model.end()) model.erase(at);
        model.emplace_front(key, i);
        if (model.size() > capacity) model.pop_back();
      }
    }
    ASSERT_EQ(table.size(), model.size());
  }
  for (const auto& [key, value] : model) {
    const int* found = table.find(key);
    ASSERT_NE(found, nullptr);
    ASSERT_EQ(*found, value);
  }
}

TEST(LruTable, DoesAsAPlainListWould) {
  compare_with_model<PlainHash>(1, 4, 2'000);
  compare_with_model<PlainHash>(10, 25, 20'000);
  compare_with_model<PlainHash>(100, 150, 20'000);
}

TEST(LruTable, DoesSoWhenAllHashesCollide) { compare_with_model<BadHash>(20, 40, 20'000); }

class MetadataCacheSizes : public ::testing::TestWithParam<int> {};

TEST_P(MetadataCacheSizes, KeepsTheNewest) {
  const int capacity = GetParam();
  MetadataCache<int, int, PlainHash> cache(static_cast<std::size_t>(capacity));
  for (int i = 0; i < 3 * capacity; ++i) cache.put(i, -i);
  for (int i = 0; i < 2 * capacity; ++i) ASSERT_EQ(cache.find(i), std::nullopt);
  for (int i = 2 * capacity; i < 3 * capacity; ++i) ASSERT_EQ(cache.find(i), -i);
  EXPECT_EQ(cache.stats().evictions, 2u * static_cast<unsigned>(capacity));
}

INSTANTIATE_TEST_SUITE_P(Many, MetadataCacheSizes, ::testing::Values(10, 100, 1'000, 100'000));

TEST(MetadataCache, ThreadsNeverGetMixedUpAnswers) {
  constexpr int kKeys = 200, kThreads = 4, kCalls = 5'000;
  MetadataCache<int, std::string, PlainHash> cache(100);
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  std::atomic<std::uint64_t> asked = 0;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < kCalls; ++i) {
        const int key = static_cast<int>(random() % kKeys);
        if (random() % 50 == 0) cache.erase(key);
        ++asked;
        if (const auto value = cache.find(key))
          ASSERT_EQ(*value, "the value of " + std::to_string(key));
        else
          cache.put(key, "the value of " + std::to_string(key));
      }
    });
  threads.clear();
  const CacheStats stats = cache.stats();
  EXPECT_EQ(stats.hits + stats.misses, asked);
  EXPECT_LE(stats.size, stats.capacity);
  EXPECT_GT(stats.hits, 0u);
  EXPECT_GT(stats.evictions, 0u);
}

}  // namespace
}  // namespace nexcage::layerfs
