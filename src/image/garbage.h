// What lies in the store and belongs to nothing: blobs without an image, what interrupted pulls and
// commands left.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/layout.h"
#include "nexcage/image/pending.h"
#include "nexcage/image/staged.h"

namespace nexcage::image {

/// So old must what a pull left be before it counts as given up: the next pull could go on from it.
inline constexpr std::chrono::hours kGivenUpAfter{24};

struct Garbage {
  std::vector<FreedBlob> blobs;        // that no image and no pull needs
  std::vector<StagingFile> staging;    // given up
  std::vector<StagingFile> resumable;  // not yet
};

/// Looks, and changes nothing. InvalidState while somebody is adding blobs; InvalidImage when an
/// image cannot be read, because then nobody knows which blobs are its.
Result<Garbage> find_garbage(const Layout& layout);
/// Removes it (but for `resumable`); gives what went. The same errors.
Result<Garbage> remove_garbage(const Layout& layout);

}  // namespace nexcage::image
