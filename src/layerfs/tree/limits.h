// What one layer may cost. Sizes of names, headers and streams have their caps where they are read
// (image/content); these are those of a layer.
#pragma once

#include <cstdint>

namespace nexcage::layerfs::tree {

struct UnpackLimits {
  /// Files, directories and whiteouts made, implied parents included.
  std::uint64_t max_files = std::uint64_t{1} << 24;
  /// Bytes of file data written (holes not counted).
  std::uint64_t max_bytes = std::uint64_t{1} << 40;
  /// Memory for what is remembered of directories until the end: paths and attributes.
  std::uint64_t max_directory_memory = std::uint64_t{128} << 20;
  /// Memory for a tree in memory, and for one layer's members: some five million files.
  std::uint64_t max_tree_memory = std::uint64_t{1} << 30;
};

}  // namespace nexcage::layerfs::tree
