// Taking away what nobody needs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/inventory.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {

/// What went, or would go.
struct Freed {
  std::vector<std::string> keys;  // "driver/key"
  std::uint64_t bytes = 0;
};

/// Inventory::garbage(), in words.
Freed find_garbage(const Inventory& inventory);

/// Removes things of the inventory in the order given (Inventory::garbage() has those first that
/// lie on others). What a mount has taken into use meanwhile stays, and is not in the answer.
Result<Freed> remove_things(const Inventory& inventory, std::span<const LayerHandle> things,
                            std::span<const std::unique_ptr<Driver>> drivers);

}  // namespace nexcage::layerfs
