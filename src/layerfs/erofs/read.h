// Reads an EROFS image without mounting it: for tests, fuzzing and whoever wants to know what an
// image holds before the kernel is asked to. The image may come from anyone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/erofs/write.h"
#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::layerfs::erofs {

/// Source of extents whose bytes lie in the image itself.
inline constexpr std::uint32_t kImageSource = std::numeric_limits<std::uint32_t>::max();

struct ReadLimits {
  std::uint64_t max_entries = std::uint64_t{1} << 24;
  /// Runs of file data, over all files.
  std::uint64_t max_extents = std::uint64_t{1} << 26;
  /// Bytes of metadata looked at; what several files share counts for each.
  std::uint64_t max_metadata = std::uint64_t{8} << 30;
};

struct ImageContent {
  /// Extents name devices (0 is the first) or kImageSource; their offsets are bytes there.
  tree::Tree tree;
  unsigned block_bits = 0;
  std::vector<Device> devices{};  // rounded up to whole blocks
  std::array<std::byte, 16> uuid{};
};

/// The whole tree. What write() gives and what mkfs.erofs gives without compression is understood.
/// InvalidImage for everything that contradicts itself: places outside the image, directories that
/// are unsorted, in circles or have several names, link counts that are not true; Unsupported for
/// features of the format that are not read; InvalidImage when a limit is passed.
Result<ImageContent> read(std::span<const std::byte> image, const ReadLimits& limits = {});

}  // namespace nexcage::layerfs::erofs
