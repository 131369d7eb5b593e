#include "nexcage/runtime/layers.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace nexcage::runtime {
namespace {

using layerfs::Driver;
using layerfs::Inventory;
using layerfs::LayerHandle;
using Drivers = std::vector<std::unique_ptr<Driver>>;

Result<image::Store> open_store(const Settings& settings) {
  return image::Store::open(settings.images, image::Store::IfMissing::create);
}

std::vector<layerfs::Layer> layers_of(const std::vector<oci::Digest>& diff_ids) {
  const std::vector<oci::Digest> chain_ids = image::chain_ids(diff_ids);
  std::vector<layerfs::Layer> layers;
  layers.reserve(diff_ids.size());
  for (std::size_t i = 0; i < diff_ids.size(); ++i) layers.push_back({diff_ids[i], chain_ids[i]});
  return layers;
}

std::string name_of(const image::Store::Listed& listed) {
  return listed.names.empty() ? listed.manifest.digest.str() : listed.names.front().str();
}

Result<Inventory> inventory_of(const image::Store& store, const Drivers& drivers) {
  Inventory inventory;
  NX_TRY(const auto images, store.list());
  for (const auto& listed : images)
    if (listed.image)
      inventory.add_image(name_of(listed), layers_of(listed.image->config.diff_ids));
  for (const auto& driver : drivers) {
    NX_TRY(const auto things, driver->list());
    inventory.add_driver(std::string(driver->name()), things);
  }
  inventory.finish();
  return inventory;
}

/// Adds what a word of the command line names.
Result<> select(const std::string& word, const image::Store& store, const Inventory& inventory,
                std::vector<LayerHandle>& chosen) {
  constexpr std::size_t kShortest = 6;  // "t-" and four digits
  std::vector<LayerHandle> matches;
  inventory.things().each([&](LayerHandle thing) {
    const std::string key = inventory.things().key(thing);
    const bool is_named = key == word || inventory.driver(thing) + "/" + key == word;
    if (is_named || (word.size() >= kShortest && key.starts_with(word))) matches.push_back(thing);
  });
  if (matches.size() > 1)
    return fail(Error(Errc::LayerError, "several prepared layers begin with " + word)
                    .hint("nexcage layer list shows the keys"));
  if (matches.empty()) {
    NX_TRY(const image::Image image, store.resolve(word));
    for (const layerfs::Layer& layer : layers_of(image.config.diff_ids)) {
      const auto node = inventory.graph().find(layerfs::to_binary(layer.chain_id));
      if (node == layerfs::LayerGraph::kNone) continue;
      for (const LayerHandle thing : inventory.things_at(node)) matches.push_back(thing);
    }
  }
  chosen.insert(chosen.end(), matches.begin(), matches.end());
  return {};
}

Result<std::vector<LayerHandle>> select_all(std::span<const std::string> words,
                                            const image::Store& store, const Inventory& inventory) {
  std::vector<LayerHandle> chosen;
  if (words.empty()) inventory.things().each([&](LayerHandle thing) { chosen.push_back(thing); });
  for (const std::string& word : words) NX_CHECK(select(word, store, inventory, chosen));
  std::ranges::sort(chosen);
  const auto doubles = std::ranges::unique(chosen);
  chosen.erase(doubles.begin(), doubles.end());
  return chosen;
}

LayerCheck check_of(const Inventory& inventory, LayerHandle thing, const Result<>& verified) {
  LayerCheck check{.driver = inventory.driver(thing),
                   .key = inventory.things().key(thing),
                   .kind = inventory.things().at(thing).kind,
                   .bytes = inventory.things().at(thing).bytes,
                   .error = std::nullopt};
  if (const std::string flaw = inventory.flaw(thing); !flaw.empty())
    check.error = Error(Errc::LayerError, flaw);
  else if (!verified)
    check.error = verified.error();
  if (!check.error) return check;
  check.state = check.error->code() == Errc::Unsupported ? LayerCheck::State::unverifiable
                                                         : LayerCheck::State::damaged;
  return check;
}

}  // namespace

Result<Inventory> take_inventory(const image::Store& store, Services& with) {
  NX_TRY(const Drivers drivers, with.used_layerfs());
  return inventory_of(store, drivers);
}

Result<Inventory> take_inventory(Services& with) {
  NX_TRY(const image::Store store, open_store(with.settings));
  return take_inventory(store, with);
}

Result<layerfs::Freed> collect_layers(const image::Store& store, Services& with, bool dry_run) {
  NX_TRY(const Drivers drivers, with.used_layerfs());
  NX_TRY(const Inventory inventory, inventory_of(store, drivers));
  if (dry_run) return layerfs::find_garbage(inventory);
  return layerfs::remove_things(inventory, inventory.garbage(), drivers);
}

Result<std::vector<LayerCheck>> verify_layers(std::span<const std::string> words, Damaged damaged,
                                              Services& with) {
  NX_TRY(const image::Store store, open_store(with.settings));
  NX_TRY(const Drivers drivers, with.used_layerfs());
  NX_TRY(const Inventory inventory, inventory_of(store, drivers));
  NX_TRY(const std::vector<LayerHandle> chosen, select_all(words, store, inventory));
  std::vector<LayerCheck> checks;
  for (const auto& driver : drivers) {
    std::vector<LayerHandle> mine;
    std::ranges::copy_if(chosen, std::back_inserter(mine), [&](LayerHandle thing) {
      return inventory.driver(thing) == driver->name();
    });
    if (mine.empty()) continue;
    std::vector<std::string> keys;
    keys.reserve(mine.size());
    for (const LayerHandle thing : mine) keys.push_back(inventory.things().key(thing));
    const std::vector<Result<>> verified = driver->verify(keys);
    for (std::size_t i = 0; i < mine.size(); ++i) {
      checks.push_back(check_of(inventory, mine[i], verified[i]));
      LayerCheck& check = checks.back();
      if (damaged == Damaged::keep || check.state != LayerCheck::State::damaged) continue;
      const auto removed = driver->remove(std::span(keys).subspan(i, 1));
      if (removed.front())
        check.state = LayerCheck::State::removed;
      else
        check.error = Error(*std::move(check.error)).also(removed.front().error());
    }
  }
  return checks;
}

}  // namespace nexcage::runtime
