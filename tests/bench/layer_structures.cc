// The structures of LayerFS against plain ones: metadata cache, pool of objects, graph, memory.
// Figures only; tests/bench/layers.py runs it and shows them.
#include <malloc.h>

#include <algorithm>
#include <random>

#include "baselines.h"
#include "measure.h"
#include "nexcage/layerfs/binary_digest.h"
#include "nexcage/layerfs/graph.h"
#include "nexcage/layerfs/layer_pool.h"
#include "nexcage/layerfs/metadata_cache.h"

namespace nexcage::bench {
namespace {

using layerfs::BinaryDigest;
using layerfs::BinaryDigestHash;

constexpr std::size_t kSizes[] = {10, 100, 1'000, 10'000, 100'000};

oci::Digest random_digest(std::mt19937_64& random) {
  BinaryDigest digest;
  for (std::uint64_t& word : digest.words) word = random();
  return oci::Digest::from_hex("sha256", layerfs::to_hex(digest));
}

// --- metadata cache ------------------------------------------------------------------------------

/// What a driver keeps of a layer's record.
struct Metadata {
  std::uint64_t bytes, entries;
  bool self_contained, root_entry, root_opaque;
};

/// Requests for keys of a catalogue ten times the cache: all alike often (most evict), or by Zipf's
/// law (the k-th most wanted is wanted 1/k as often as the first).
std::vector<std::uint32_t> requests(std::size_t keys, std::size_t count, bool zipf) {
  std::mt19937_64 random(7);
  std::vector<std::uint32_t> stream(count);
  std::vector<double> sums(keys);
  double sum = 0;
  for (std::size_t i = 0; i < keys; ++i)
    sums[i] = sum += zipf ? 1.0 / static_cast<double>(i + 1) : 1;
  std::uniform_real_distribution<double> at(0, sum);
  for (auto& key : stream)
    key = static_cast<std::uint32_t>(std::ranges::lower_bound(sums, at(random)) - sums.begin());
  return stream;
}

/// Seconds per request of a cache that is full when it begins.
template <class Recency>
double cache_time(const std::vector<BinaryDigest>& keys, const std::vector<std::uint32_t>& stream,
                  std::size_t capacity) {
  layerfs::MetadataCache<BinaryDigest, Metadata, BinaryDigestHash, Recency> cache(capacity);
  for (std::size_t i = 0; i < capacity; ++i) cache.put(keys[keys.size() - 1 - i], Metadata{});
  return seconds([&] {
           for (const std::uint32_t wanted : stream) {
             if (cache.find(keys[wanted])) continue;
             cache.put(keys[wanted], Metadata{.bytes = wanted,
                                              .entries = 1,
                                              .self_contained = true,
                                              .root_entry = false,
                                              .root_opaque = false});
           }
         }) /
         static_cast<double>(stream.size());
}

void caches() {
  for (const std::size_t capacity : kSizes) {
    std::mt19937_64 random(1);
    std::vector<BinaryDigest> keys(capacity * 10);
    for (BinaryDigest& key : keys) key = {.words = {random(), random(), random(), random()}};
    // So many that the baseline's round takes a quarter of a second.
    const std::size_t count = std::clamp<std::size_t>(200'000'000 / capacity, 2'000, 200'000);
    for (const bool zipf : {false, true}) {
      const auto stream = requests(keys.size(), count, zipf);
      compare(
          {.what = "metadata cache",
           .name = count_text(capacity) + " entries, " + (zipf ? "Zipf" : "eviction-heavy"),
           .unit = "ns",
           .target = capacity >= 1'000 ? 0.95 : 0,
           .scale = 1e9},
          [&] { return cache_time<LinearScan>(keys, stream, capacity); },
          [&] { return cache_time<layerfs::RecencyList>(keys, stream, capacity); });
    }
  }
}

// --- pool
// ------------------------------------------------------------------------------------------

/// Stacks of ten layers.
std::vector<Source> sources(std::size_t count) {
  std::mt19937_64 random(3);
  std::vector<Source> made;
  made.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const oci::Digest chain = random_digest(random);
    made.push_back({.key = "i-" + std::string(chain.hex()),
                    .diff_id = random_digest(random),
                    .chain_id = chain,
                    .parent = i % 10 == 0 ? chain : made.back().chain_id,
                    .has_parent = i % 10 != 0,
                    .bytes = i,
                    .entries = i});
  }
  return made;
}

layerfs::LayerHandle create(layerfs::LayerPool& pool, const Source& from) {
  return pool.create({.key = from.key,
                      .kind = layerfs::LayerKind::index,
                      .diff_id = &from.diff_id,
                      .chain_id = &from.chain_id,
                      .parent = from.has_parent ? &from.parent : nullptr,
                      .bytes = from.bytes,
                      .entries = from.entries});
}

void pools() {
  for (const std::size_t size : kSizes) {
    const std::vector<Source> from = sources(size);
    std::vector<std::size_t> order(size);
    for (std::size_t i = 0; i < size; ++i) order[i] = i;
    std::ranges::shuffle(order, std::mt19937(5));
    // All are made, then all released in another order; small numbers several times over.
    const std::size_t times = std::max<std::size_t>(1, 100'000 / size);
    const auto per_layer = static_cast<double>(times * size);
    layerfs::LayerPool pool;
    std::vector<layerfs::LayerHandle> handles(size);
    std::vector<std::unique_ptr<HeapLayer>> objects(size);
    compare(
        {.what = "layer objects",
         .name = count_text(size) + " layers, create and release",
         .unit = "ns",
         .target = 0.60,
         .scale = 1e9},
        [&] {
          return seconds([&] {
                   for (std::size_t time = 0; time < times; ++time) {
                     for (std::size_t i = 0; i < size; ++i) objects[i] = make_heap_layer(from[i]);
                     for (const std::size_t i : order) objects[i].reset();
                   }
                 }) /
                 per_layer;
        },
        [&] {
          return seconds([&] {
                   for (std::size_t time = 0; time < times; ++time) {
                     for (std::size_t i = 0; i < size; ++i) handles[i] = create(pool, from[i]);
                     for (const std::size_t i : order) pool.release(handles[i]);
                   }
                 }) /
                 per_layer;
        });
  }
}

// --- graph
// -----------------------------------------------------------------------------------------

void graphs() {
  for (const std::size_t size : kSizes) {
    std::vector<Source> from = sources(size);
    std::ranges::shuffle(from, std::mt19937(9));
    const std::size_t times = std::max<std::size_t>(1, 20'000 / size);
    const auto per_layer = static_cast<double>(times * size);
    compare(
        {.what = "layer graph",
         .name = count_text(size) + " layers, order and check",
         .unit = "ns",
         .target = 0.30,
         .scale = 1e9},
        [&] {
          return seconds([&] {
                   for (std::size_t time = 0; time < times; ++time) {
                     VisitedSets graph;
                     for (const Source& layer : from)
                       graph.add(layer.chain_id.str(),
                                 layer.has_parent ? layer.parent.str() : std::string());
                     keep(graph.order().sorted.size());
                   }
                 }) /
                 per_layer;
        },
        [&] {
          return seconds([&] {
                   for (std::size_t time = 0; time < times; ++time) {
                     layerfs::LayerGraph graph;
                     for (const Source& layer : from)
                       graph.add(
                           layerfs::to_binary(layer.chain_id),
                           layer.has_parent ? layerfs::to_binary(layer.parent) : BinaryDigest{});
                     keep(graph.order().sorted.size());
                   }
                 }) /
                 per_layer;
        });
  }
}

// --- memory
// ----------------------------------------------------------------------------------------

/// Bytes on the heap, with what the allocator adds to each piece.
double heap_bytes() {
  const auto info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

/// Bytes on the heap while what `load` returns is there, by the layer.
template <class Load>
double bytes_of(const Load& load, std::size_t layers) {
  const double before = heap_bytes();
  const auto loaded = load();
  keep(&loaded);
  return (heap_bytes() - before) / static_cast<double>(layers);
}

struct PlainStore {
  std::vector<std::unique_ptr<HeapLayer>> layers;
  std::unordered_map<std::string, HeapLayer*> by_chain;
};
struct OurStore {
  layerfs::LayerPool pool;
  layerfs::LayerGraph graph;
};

void memory() {
  constexpr std::size_t kLayers = 10'000;
  const std::vector<Source> from = sources(kLayers);
  compare(
      {.what = "memory", .name = "objects of 10,000 layers", .unit = "bytes", .target = 0.25},
      [&] {
        return bytes_of(
            [&] {
              std::vector<std::unique_ptr<HeapLayer>> layers;
              layers.reserve(kLayers);
              for (const Source& layer : from) layers.push_back(make_heap_layer(layer));
              return layers;
            },
            kLayers);
      },
      [&] {
        return bytes_of(
            [&] {
              layerfs::LayerPool pool;
              for (const Source& layer : from) create(pool, layer);
              return pool;
            },
            kLayers);
      },
      1);
  compare(
      {.what = "memory",
       .name = "loaded store of 10,000 layers (objects, found by chain ID)",
       .unit = "bytes",
       .target = 0.25},
      [&] {
        return bytes_of(
            [&] {
              PlainStore store;
              store.layers.reserve(kLayers);
              store.by_chain.reserve(kLayers);
              for (const Source& layer : from) {
                store.layers.push_back(make_heap_layer(layer));
                store.by_chain.emplace(layer.chain_id.str(), store.layers.back().get());
              }
              return store;
            },
            kLayers);
      },
      [&] {
        return bytes_of(
            [&] {
              OurStore store;
              store.graph.reserve(kLayers);
              for (const Source& layer : from) {
                const auto& record = store.pool.at(create(store.pool, layer));
                store.graph.add(record.chain_id, record.parent);
              }
              return store;
            },
            kLayers);
      },
      1);
}

}  // namespace
}  // namespace nexcage::bench

int main() {
  nexcage::bench::caches();
  nexcage::bench::pools();
  nexcage::bench::graphs();
  nexcage::bench::memory();
  return 0;
}
