// Preparing several images at once.
#include <algorithm>
#include <set>
#include <utility>

#include "nexcage/layerfs/batch.h"
#include "nexcage/runtime/layers.h"
#include "nexcage/runtime/pull.h"

namespace nexcage::runtime {
namespace {

using layerfs::Driver;
using layerfs::PreparedStack;

Result<std::set<std::string>> keys_of(const Driver& driver) {
  NX_TRY(const auto things, driver.list());
  std::set<std::string> keys;
  for (const layerfs::Prepared& thing : things) keys.insert(thing.key);
  return keys;
}

/// Removes what was made for one image since `before`. What a mount uses by now stays.
Result<> unmake(Driver& driver, const std::vector<layerfs::Layer>& layers,
                const std::set<std::string>& before) {
  NX_TRY(const auto things, driver.list());
  std::vector<std::string> keys;
  for (const layerfs::Prepared& thing : things) {
    const bool is_its = std::ranges::any_of(layers, [&](const layerfs::Layer& layer) {
      return std::ranges::count(thing.diff_ids, layer.diff_id) > 0;
    });
    if (is_its && !before.contains(thing.key)) keys.push_back(thing.key);
  }
  for (const auto& removed : driver.remove(keys))
    if (!removed && removed.error().code() != Errc::InvalidState) return fail(removed.error());
  return {};
}

}  // namespace

Result<Merging> merge_layers(std::span<const std::string> words, Services& with) {
  NX_TRY(const image::Store store,
         image::Store::open(with.settings.images, image::Store::IfMissing::create));
  std::vector<image::Image> images;
  for (const std::string& word : words) {
    NX_TRY(image::Image image, store.resolve(word));
    images.push_back(std::move(image));
  }
  NX_TRY(const storage::Choice storage, default_storage(with.settings));
  NX_TRY(const auto driver, with.open_layerfs(storage));
  NX_TRY(const std::set<std::string> before, keys_of(*driver));
  std::vector<PreparedStack> stacks(images.size());
  const layerfs::BatchResult done = layerfs::run_batch(
      {.count = images.size(),
       .work = [&](std::size_t i) -> Result<> {
         NX_TRY(stacks[i], driver->prepare(store, images[i]), "prepare " + words[i]);
         return {};
       },
       .undo = [&](std::size_t i) { return unmake(*driver, stacks[i].layers, before); },
       .name = [&](std::size_t i) { return words[i]; }});
  Merging merging{.images = {}, .result = done.joined()};
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (!done.items[i]) {
      merging.images.emplace_back(std::unexpected(done.items[i].error()));
      continue;
    }
    const bool is_new = std::ranges::any_of(
        stacks[i].keys, [&](const std::string& key) { return !before.contains(key); });
    merging.images.emplace_back(MergedImage{.image = words[i],
                                            .driver = stacks[i].driver,
                                            .layers = stacks[i].layers.size(),
                                            .prepared = stacks[i].keys.size(),
                                            .is_new = is_new});
  }
  return merging;
}

}  // namespace nexcage::runtime
