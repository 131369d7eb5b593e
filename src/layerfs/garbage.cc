#include "nexcage/layerfs/garbage.h"

#include <map>

namespace nexcage::layerfs {

Freed find_garbage(const Inventory& inventory) {
  Freed found;
  for (const LayerHandle thing : inventory.garbage()) {
    found.keys.push_back(inventory.driver(thing) + "/" + inventory.things().key(thing));
    found.bytes += inventory.things().at(thing).bytes;
  }
  return found;
}

Result<Freed> remove_things(const Inventory& inventory, std::span<const LayerHandle> things,
                            std::span<const std::unique_ptr<Driver>> drivers) {
  std::map<std::string, std::vector<std::string>> keys;  // by driver
  for (const LayerHandle thing : things)
    keys[inventory.driver(thing)].push_back(inventory.things().key(thing));
  Freed freed;
  for (const auto& driver : drivers) {
    const auto mine = keys.find(std::string(driver->name()));
    if (mine == keys.end()) continue;
    const auto results = driver->remove(mine->second);
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (!results[i] && results[i].error().code() == Errc::InvalidState) continue;
      NX_TRY(const std::uint64_t bytes, results[i]);
      freed.bytes += bytes;
      freed.keys.push_back(mine->first + "/" + mine->second[i]);
    }
  }
  return freed;
}

}  // namespace nexcage::layerfs
