// `system check` and `system gc`: the image store and the prepared layers as a whole.
#pragma once

#include <optional>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/check.h"
#include "nexcage/image/garbage.h"
#include "nexcage/layerfs/garbage.h"
#include "nexcage/registry/pull.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

struct CheckReport {
  image::StoreCheck before;           // what was found
  std::vector<image::Damage> left;    // what is still wrong
  std::vector<Error> repairs_failed;  // why
};
/// Reads every blob; with `repair` fetches what is damaged again and reads once more.
enum class Repair : bool { no, yes };
Result<CheckReport> check_images(Repair repair, const registry::Choices& choices,
                                 const registry::TransferWatch& watch, Services& with);

struct GarbageReport {
  image::Garbage store;
  layerfs::Freed layers;  // prepared, and of no image
};
/// What belongs to nothing; with `remove` it is removed. InvalidState while somebody adds blobs.
enum class Remove : bool { no, yes };
Result<GarbageReport> collect_garbage(Remove remove, Services& with);

}  // namespace nexcage::runtime
