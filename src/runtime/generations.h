// The roots that a container had before its updates, as {bundle}/generations.json keeps them.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/storage/volume.h"

namespace nexcage::runtime {

/// A root with everything that says what the container was with it.
struct Generation {
  unsigned number = 1;
  std::string replaced;               // RFC 3339: when another took its place
  std::string image, digest;          // as info.json has them
  storage::Volume volume;             // what the container wrote
  std::string config, request, info;  // texts of the files of these names
};

/// The generation that the bundle's files describe. `number`: the container's current one.
/// FileError, InvalidJson.
Result<Generation> read_generation(const std::string& bundle, const std::string& info_file,
                                   unsigned number);

struct Generations {
  unsigned current = 1;
  unsigned last = 1;                  // the highest number that was given out
  std::vector<Generation> earlier;    // newest first
  std::vector<Generation> discarded;  // to be removed
};

/// Those of a container that was never updated when there is no file. InvalidJson.
Result<Generations> load_generations(const std::string& bundle);
/// Writes generations.json, durably.
Result<> save_generations(const std::string& bundle, const Generations& all);
std::string generations_text(const Generations& generations);

/// `number` takes the place of the current one, which is kept: pure.
Generations with_newer(Generations all, Generation current, unsigned number);
/// The newest of the earlier ones, of which there is one, and the current one change places: pure.
Generations with_earlier(Generations all, Generation current);
/// Of the earlier ones the newest `keep` stay; the others are discarded. Pure.
Generations without_surplus(Generations all, unsigned keep);
/// The earlier one of this number, if there is one, is discarded. Pure.
Generations without(Generations all, unsigned number);
/// The current one, made by an update that is taken back, is discarded as well: `before` are those
/// before the update. Pure.
Generations taken_back(Generations before, Generation current);

/// Removes the discarded ones from disk. Nothing is there after a delete: success.
Result<> remove_discarded(const std::string& bundle);

}  // namespace nexcage::runtime
