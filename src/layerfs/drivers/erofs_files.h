// Looking at prepared tars and EROFS images, and taking them away: for every driver that keeps
// such.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/drivers/layer_store.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs::erofs_driver {

/// Driver::list().
Result<std::vector<Prepared>> list_files(const LayerStore& store);
/// Driver::verify(): reads the files again.
std::vector<Result<>> verify_files(const Result<LayerStore>& store,
                                   std::span<const std::string> keys, const Hasher& hash);
/// Driver::remove().
std::vector<Result<std::uint64_t>> remove_files(const Result<LayerStore>& store,
                                                std::span<const std::string> keys);

}  // namespace nexcage::layerfs::erofs_driver
