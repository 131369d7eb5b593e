// What is prepared of images on this host, as a whole: the verbs of the group `layer`, and the part
// of `system gc` and `image remove` that concerns layers.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/layerfs/garbage.h"
#include "nexcage/layerfs/inventory.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

/// What every driver has prepared, and the images of the store.
Result<layerfs::Inventory> take_inventory(const image::Store& store, Services& services);
Result<layerfs::Inventory> take_inventory(Services& services);

/// Removes prepared layers that no image of the store needs and no mount uses, those above others
/// first; `dry_run`: only says which. Keys are "driver/key".
Result<layerfs::Freed> collect_layers(const image::Store& store, Services& services, bool dry_run);

struct LayerCheck {
  std::string driver, key;
  layerfs::LayerKind kind{};
  std::uint64_t bytes = 0;
  enum class State : std::uint8_t { ok, damaged, unverifiable, removed } state = State::ok;
  std::optional<Error> error;  // unless ok
};
enum class Damaged : std::uint8_t { keep, remove };
/// Reads prepared layers again and compares them with their digests. `words`: keys ("driver/key",
/// "key" or a unique beginning of it) and images, whose layers are checked; none: all. With
/// Damaged::remove what is damaged and not in use goes, and is made anew when it is needed.
/// ImageNotFound for a word that is neither.
Result<std::vector<LayerCheck>> verify_layers(std::span<const std::string> words, Damaged damaged,
                                              Services& services);

struct MergedImage {
  std::string image, driver;
  std::uint64_t layers = 0;    // of the image
  std::uint64_t prepared = 0;  // things on disk that a mount takes: tars, indexes, trees
  bool is_new = false;         // something had to be made
};
struct Merging {
  std::vector<Result<MergedImage>> images;  // one for each word
  Result<> result;                          // why not all are made
};
/// Makes the form in which images are mounted, all side by side: what their first container would
/// otherwise wait for. All or nothing: when one cannot be made, what was made for the others goes.
/// ImageNotFound before anything is made; in the result InvalidImage, LayerError.
Result<Merging> merge_layers(std::span<const std::string> words, Services& services);

}  // namespace nexcage::runtime
