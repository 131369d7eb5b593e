// What EROFS this host can mount, found by mounting a tiny one.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/layerfs/drivers/erofs_mount.h"
#include "nexcage/layerfs/drivers/layer_store.h"

namespace nexcage::layerfs::erofs_driver {

/// What works here.
struct Abilities {
  Source source = Source::files;
  /// Blocks of 512 bytes (Linux 6.4): data can stay in the tars. Else the image must hold it.
  bool small_blocks = true;
};

/// Asks the kernel. Unsupported with the reason when no EROFS can be mounted.
Result<Abilities> ask_kernel(const LayerStore& store);

/// The same, remembered in the store until the next boot.
Result<Abilities> probe(const LayerStore& store);

}  // namespace nexcage::layerfs::erofs_driver
