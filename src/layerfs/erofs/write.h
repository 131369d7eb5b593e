// Writes a tree as an EROFS image. The on-disk format is Linux's (see format.h); the layout is
// ours: superblock, table of devices, inodes with what follows each, shared attributes, blocks of
// directories and long symlinks, file data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::layerfs::erofs {

enum class Form : std::uint8_t {
  /// Blocks of 512 bytes; file data stays in the tars, which are the image's devices in the order
  /// of
  /// the layers. What does not lie at block bounds there is copied. Linux 6.4.
  index,
  /// Blocks of 4 KiB, self-contained; small files lie beside their inodes. Linux 5.4, with files
  /// that have holes 5.15.
  full,
};

/// One tar that files lie in.
struct Device {
  std::uint64_t bytes = 0;
  /// False: the tree has nothing in it, and the image does without. The others follow each other in
  /// the image's table.
  bool in_table = true;
};

struct WriteOptions {
  Form form = Form::index;
  /// The tar of each source in order; of every layer, whether the tree has files of it or not.
  std::vector<Device> devices{};
  std::array<std::byte, 16> uuid{};
};

struct Written {
  std::uint64_t bytes = 0;  // size of the image
  std::uint64_t inodes = 0;
};

/// Writes the image into `out`: a regular file, empty, open for writing, which the caller keeps and
/// syncs. `tars` are read where data is copied: descriptors in the order of the devices. The same
/// tree gives the same bytes, however it was made.
/// Errors: Unsupported for what the format cannot hold (names of attributes, values above 65535
/// bytes, device numbers, files above 16 TiB, tars above 2 TiB), InvalidImage for access
/// control lists that are none, and for a tree that contradicts itself or its tars, FileError.
Result<Written> write(const tree::Tree& tree, const WriteOptions& options,
                      std::span<const int> tars, int out);

}  // namespace nexcage::layerfs::erofs
