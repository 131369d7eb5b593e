// Work on many layers at once against one call at a time, with a real driver on this host; and the
// creation of many containers with all of LayerFS' structures against none of them. Figures only;
// tests/bench/layers.py makes the images, runs this and shows the figures.
#include <sched.h>
#include <sys/mount.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <set>

#include "baselines.h"
#include "measure.h"
#include "nexcage/layerfs/batch.h"
#include "nexcage/layerfs/converter.h"
#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/layerfs/hasher.h"
#include "nexcage/layerfs/inventory.h"
#include "nexcage/layerfs/unpacker.h"

namespace nexcage::bench {
namespace {

namespace fs = std::filesystem;
using layerfs::BatchLoad;
using layerfs::Driver;
using layerfs::run_batch;

struct Bench {
  std::string dir, libexec, driver_name;
  image::Store store;
  std::vector<image::Image> images;
  std::unique_ptr<Driver> driver;

  std::unique_ptr<Driver> open(std::shared_ptr<layerfs::RecordCache> records) const {
    return need(layerfs::open({.root = dir + "/layers",
                               .driver = driver_name,
                               .unpack = layerfs::helper_unpacker(libexec),
                               .convert = layerfs::helper_converter(libexec),
                               .hash = layerfs::helper_hasher(libexec),
                               .records = std::move(records)}));
  }
  std::vector<layerfs::PreparedStack> prepare_all(std::size_t count) const {
    std::vector<layerfs::PreparedStack> stacks(count);
    need(run_batch({.count = count,
                    .work = [&](std::size_t i) -> Result<> {
                      NX_TRY(stacks[i], driver->prepare(store, images[i]));
                      return {};
                    }})
             .joined());
    return stacks;
  }
  layerfs::MountPoint place(std::size_t number) const {
    const std::string base = dir + "/mounts/" + std::to_string(number);
    fs::create_directories(base + "/at");
    fs::create_directories(base + "/upper");
    return {.target = base + "/at", .upper = base + "/upper"};
  }
  /// With what was written, as the removal of a container.
  Result<> unmount(const layerfs::MountRecord& record) const {
    NX_CHECK(driver->unmount(record));
    return layerfs::remove_upper(record.at);
  }
  /// Keys of what is prepared, at most `count`.
  std::vector<std::string> keys(std::size_t count) const {
    std::vector<std::string> found;
    for (const layerfs::Prepared& thing : need(driver->list()))
      if (found.size() < count) found.push_back(thing.key);
    return found;
  }
};

constexpr std::size_t kCounts[] = {10, 100, 1'000};
constexpr double kBatchTarget = 0.40;

Comparison row(const char* operation, std::size_t count, double target = kBatchTarget) {
  return {.what = "batch",
          .name = std::string(operation) + " of " + count_text(count),
          .unit = "ms",
          .target = target,
          .scale = 1e3};
}

void mounts(const Bench& bench) {
  const auto stacks = bench.prepare_all(bench.images.size());
  for (const std::size_t count : kCounts) {
    std::vector<layerfs::MountPoint> places;
    places.reserve(count);
    for (std::size_t i = 0; i < count; ++i) places.push_back(bench.place(i));
    std::vector<layerfs::MountRecord> records(count);
    const auto mount = [&](std::size_t i) -> Result<> {
      NX_TRY(records[i], bench.driver->mount(stacks[i % stacks.size()], places[i], {}));
      return {};
    };
    const auto unmount = [&](std::size_t i) { return bench.unmount(records[i]); };
    std::vector<double> mount_times[2], unmount_times[2];
    for (int round = 0; round <= kRounds; ++round) {
      const double one_by_one[2] = {seconds([&] {
                                      for (std::size_t i = 0; i < count; ++i) need(mount(i));
                                    }),
                                    seconds([&] {
                                      for (std::size_t i = 0; i < count; ++i) need(unmount(i));
                                    })};
      const auto batch = [&](const std::function<Result<>(std::size_t)>& work) {
        return seconds([&] {
          need(run_batch({.count = count, .work = work, .load = BatchLoad::kernel}).joined());
        });
      };
      const double mounting = batch(mount), unmounting = batch(unmount);
      if (round == 0) continue;
      mount_times[0].push_back(one_by_one[0]);
      unmount_times[0].push_back(one_by_one[1]);
      mount_times[1].push_back(mounting);
      unmount_times[1].push_back(unmounting);
    }
    print(row("mount", count), mount_times[0], mount_times[1]);
    print(row("unmount", count), unmount_times[0], unmount_times[1]);
  }
}

void verifies(const Bench& bench) {
  (void)bench.prepare_all(bench.images.size());
  for (const std::size_t count : kCounts) {
    const std::vector<std::string> keys = bench.keys(count);
    const auto first = bench.driver->verify(std::span(keys).first(1));
    if (!first.front() && first.front().error().code() == Errc::Unsupported) {
      std::cerr << "verify: " << first.front().error().message() << "\n";
      return;
    }
    compare(
        row("verify", keys.size()),
        [&] {
          return seconds([&] {
            for (std::size_t i = 0; i < keys.size(); ++i)
              need(Result<>(bench.driver->verify(std::span(keys).subspan(i, 1)).front()));
          });
        },
        [&] {
          return seconds([&] {
            for (const auto& result : bench.driver->verify(keys)) need(Result<>(result));
          });
        });
  }
}

/// Images are ten layers each, and no two share any.
void removals(const Bench& bench) {
  for (const std::size_t count : kCounts) {
    const std::size_t images = std::min(bench.images.size(), std::max<std::size_t>(1, count / 10));
    const auto victims = [&] {
      std::set<std::string> digests;
      for (std::size_t i = 0; i < images; ++i)
        for (const auto& layer : bench.images[i].layers) digests.insert(layer.diff_id.str());
      std::vector<std::string> keys;
      for (const layerfs::Prepared& thing : need(bench.driver->list()))
        if (!thing.diff_ids.empty() && digests.contains(thing.diff_ids.front().str()) &&
            keys.size() < count)
          keys.push_back(thing.key);
      return keys;
    };
    const auto one_by_one = [&] {
      (void)bench.prepare_all(images);
      const std::vector<std::string> keys = victims();
      return seconds([&] {
        for (std::size_t i = 0; i < keys.size(); ++i)
          need(Result<std::uint64_t>(bench.driver->remove(std::span(keys).subspan(i, 1)).front()));
      });
    };
    const auto batch = [&] {
      (void)bench.prepare_all(images);
      const std::vector<std::string> keys = victims();
      return seconds([&] {
        for (const auto& removed : bench.driver->remove(keys)) need(Result<std::uint64_t>(removed));
      });
    };
    compare(row("remove", count), one_by_one, batch);
  }
}

void prepares(const Bench& bench) {
  constexpr std::size_t kImages = 10;
  const auto forget = [&] {
    std::vector<std::string> keys;
    for (const layerfs::Prepared& thing : need(bench.driver->list())) keys.push_back(thing.key);
    (void)bench.driver->remove(keys);
  };
  compare(
      row("prepare", kImages),
      [&] {
        forget();
        return seconds([&] {
          for (std::size_t i = 0; i < kImages; ++i)
            need(bench.driver->prepare(bench.store, bench.images[i]));
        });
      },
      [&] {
        forget();
        return seconds([&] { (void)bench.prepare_all(kImages); });
      });
}

// --- creation ------------------------------------------------------------------------------------

constexpr std::size_t kCreates = 100;
constexpr std::size_t kCached = 1'000;

/// The part of 100 creations that is LayerFS': what is prepared is loaded and its order checked,
/// each container's layers are looked up, prepared (they are) and mounted.
struct Creation {
  const Bench& bench;
  std::vector<layerfs::MountPoint> places;
  std::vector<layerfs::MountRecord> records = std::vector<layerfs::MountRecord>(kCreates);

  Result<> create(Driver& driver, std::size_t i) {
    NX_TRY(const auto stack, driver.prepare(bench.store, image(i)));
    NX_TRY(records[i], driver.mount(stack, places[i], {}));
    return {};
  }
  const image::Image& image(std::size_t i) const { return bench.images[i % bench.images.size()]; }

  /// Layers by chain ID, through a cache.
  template <class Cache>
  void look_up(Cache& cache, std::size_t i) const {
    for (const layerfs::Layer& layer : layerfs::layers_of(image(i))) {
      const auto id = layerfs::to_binary(layer.chain_id);
      if (!cache.find(id)) cache.put(id, i);
    }
  }

  double plain() {
    return seconds([&] {
      const auto driver = bench.open(nullptr);
      std::vector<std::unique_ptr<HeapLayer>> objects;
      VisitedSets graph;
      for (const layerfs::Prepared& thing : need(driver->list())) {
        auto object = std::make_unique<HeapLayer>();
        object->key = thing.key;
        object->kind = thing.kind;
        object->bytes = thing.bytes;
        object->entries = thing.entries;
        if (thing.chain_id) object->chain_id = thing.chain_id->str();
        if (!thing.diff_ids.empty()) object->diff_id = thing.diff_ids.front().str();
        objects.push_back(std::move(object));
      }
      for (const image::Image& image : bench.images) {
        std::string below;
        for (const layerfs::Layer& layer : layerfs::layers_of(image)) {
          graph.add(layer.chain_id.str(), below);
          below = layer.chain_id.str();
        }
      }
      keep(graph.order().sorted.size());
      layerfs::MetadataCache<layerfs::BinaryDigest, std::size_t, layerfs::BinaryDigestHash,
                             LinearScan>
          cache(kCached);
      for (std::size_t i = 0; i < kCreates; ++i) {
        look_up(cache, i);
        need(create(*driver, i));
      }
    });
  }

  double ours() {
    return seconds([&] {
      const auto driver = bench.open(std::make_shared<layerfs::RecordCache>(kCached));
      layerfs::Inventory inventory;
      for (const image::Image& image : bench.images)
        inventory.add_image("image", layerfs::layers_of(image));
      inventory.add_driver(bench.driver_name, need(driver->list()));
      inventory.finish();
      keep(inventory.order().sorted.size());
      layerfs::MetadataCache<layerfs::BinaryDigest, std::size_t, layerfs::BinaryDigestHash> cache(
          kCached);
      need(run_batch({.count = kCreates,
                      .work =
                          [&](std::size_t i) {
                            look_up(cache, i);
                            return create(*driver, i);
                          },
                      .load = BatchLoad::kernel})
               .joined());
    });
  }

  void undo() {
    need(run_batch({.count = kCreates,
                    .work = [&](std::size_t i) { return bench.unmount(records[i]); },
                    .load = BatchLoad::kernel})
             .joined());
  }
};

void creations(const Bench& bench) {
  (void)bench.prepare_all(bench.images.size());
  Creation creation{.bench = bench, .places = {}};
  for (std::size_t i = 0; i < kCreates; ++i) creation.places.push_back(bench.place(i));
  const auto undone = [&](double time) {
    creation.undo();
    return time;
  };
  compare(
      {.what = "creation",
       .name = "LayerFS' part of 100 creates, " +
               count_text(bench.images.size() * bench.images.front().layers.size()) +
               " layers in the store",
       .unit = "ms",
       .target = 0.20,
       .scale = 1e3},
      [&] { return undone(creation.plain()); }, [&] { return undone(creation.ours()); });
}

int run(const std::string& dir, const std::string& libexec, const std::string& driver,
        const std::vector<std::string_view>& parts) {
  // Our mounts are nobody else's business.
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    std::cerr << "no mount namespace\n";
    return 1;
  }
  Bench bench{.dir = dir,
              .libexec = libexec,
              .driver_name = driver,
              .store = need(image::Store::open(dir + "/images", image::Store::IfMissing::fail)),
              .images = {},
              .driver = nullptr};
  for (auto& listed : need(bench.store.list()))
    if (listed.image) bench.images.push_back(*std::move(listed.image));
  bench.driver = bench.open(nullptr);
  bench.driver_name = bench.driver->name();
  std::cerr << "driver " << bench.driver_name << ", " << bench.images.size() << " images\n";
  const auto wanted = [&](std::string_view part) {
    return parts.empty() || std::ranges::count(parts, part) > 0;
  };
  if (wanted("prepare")) prepares(bench);
  if (wanted("create")) creations(bench);
  if (wanted("verify")) verifies(bench);
  if (wanted("mount")) mounts(bench);
  if (wanted("remove")) removals(bench);
  return 0;
}

}  // namespace
}  // namespace nexcage::bench

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr
        << "usage: nx_bench_batches DIR LIBEXEC DRIVER [prepare|create|verify|mount|remove...]\n";
    return 2;
  }
  return nexcage::bench::run(argv[1], argv[2], argv[3], {argv + 4, argv + argc});
}
