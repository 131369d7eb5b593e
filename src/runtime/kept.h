// What a container keeps as long as it exists, as its info.json has it.
#pragma once

#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/runtime/settings.h"
#include "nexcage/storage/volume.h"

namespace nexcage::runtime {

struct Kept {
  std::optional<layerfs::MountRecord> layers;  // none: OCI form, or the layers are in an image file
  std::optional<storage::Volume> volume;       // none: a bundle left as it is
};

/// A container without an info.json keeps nothing. InvalidJson for one that is damaged: what it
/// named must not be forgotten.
Result<Kept> load_kept(const std::string& id, const Settings& settings);

}  // namespace nexcage::runtime
