// The whole store, looked at: every blob against its digest, every layer against its diff ID.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/helper.h"
#include "nexcage/image/store.h"
#include "nexcage/json/value.h"

namespace nexcage::image {

/// A blob that an image needs and that is missing or wrong.
struct Damage {
  oci::Digest entry;  // of index.json: the image
  oci::Digest blob;
  std::string what;  // "manifest", "config", "layer 2"
  Error error;
};

struct StoreCheck {
  std::uint64_t images = 0, blobs = 0, bytes = 0;  // what was read
  std::vector<Damage> damages;
};

/// Reads everything, in the confined helper. A damaged store is a report, not an error. While it
/// runs, removals leave blobs for a later sweep.
Result<StoreCheck> check_store(const Store& store, const std::string& libexec_dir);

json::Value to_json(const StoreCheck& check);
Result<StoreCheck> parse_store_check(const json::Value& value);

}  // namespace nexcage::image
