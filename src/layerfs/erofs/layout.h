// Where everything of an image goes, decided for the whole tree before the first byte is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/erofs/directory.h"
#include "nexcage/layerfs/erofs/file_map.h"
#include "nexcage/layerfs/erofs/format.h"
#include "nexcage/layerfs/erofs/write.h"
#include "nexcage/layerfs/erofs/xattrs.h"
#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::layerfs::erofs {

unsigned block_bits_of(Form form);

/// What is known of a directory beside its inode.
struct DirectoryPlan {
  tree::InodeId inode = 0, parent = 0;
  std::size_t first = 0, end = 0;  // its entries, in Layout::entries
  DirectorySize size{};
};

/// What lies behind an inode, and what elsewhere.
struct Placement {
  DataLayout data = DataLayout::plain;
  std::uint64_t size = 0;               // of the file, as its inode says it
  std::span<const std::byte> xattrs{};  // valid until the next placement
  std::size_t inline_bytes = 0;         // of data behind inode and attributes
  std::uint64_t table_bytes = 0;        // of chunk indexes there
  std::uint64_t blocks = 0;             // elsewhere in the image
  unsigned chunk_bits = 0;
};

/// Places one file at a time, the same whenever it is asked; keeps the attributes of all.
class Placer {
 public:
  Placer(unsigned block_bits, const Sources& sources);

  Result<Placement> place(const tree::Inode& inode, const DirectoryPlan* directory);
  XattrTable& xattrs() { return xattrs_; }
  /// Has mapped the regular file that was placed last.
  FileMapper& mapper() { return mapper_; }
  /// Bytes of tables and padding of the files placed so far.
  std::uint64_t overhead() const { return overhead_; }

 private:
  Result<> place_regular(const tree::Inode& inode, Placement& placement);
  void place_flat(Placement& placement, std::uint64_t bytes) const;

  std::uint64_t block_size_;
  FileMapper mapper_;
  XattrTable xattrs_;
  std::uint64_t overhead_ = 0;
};

struct Layout {
  unsigned block_bits = 9;
  /// All inodes as they lie in the image: a directory, then what is in it, then all below the first
  /// directory in it, and so on.
  std::vector<tree::InodeId> order;
  std::vector<DirectoryPlan> directories;  // in the same order
  std::vector<tree::Entry> entries;
  std::vector<std::uint32_t> slots;         // by inode: its number in the image
  std::vector<std::uint32_t> first_blocks;  // by inode, counted from its kind's first
  std::uint64_t xattr_block = 0;            // shared attributes
  std::uint64_t tree_block = 0;             // directories and symlinks
  std::uint64_t data_block = 0;             // file data
  std::uint64_t blocks = 0;
  bool chunks = false;  // some file has a table of chunks

  std::uint64_t position(tree::InodeId id) const { return std::uint64_t{slots[id]} * kSlotBytes; }
  DirectoryView view(const DirectoryPlan& directory) const {
    return {std::span(entries).subspan(directory.first, directory.end - directory.first),
            directory.inode, directory.parent};
  }
};

/// Devices that the image has.
std::size_t count_devices(const WriteOptions& options);

/// The plan; `placer` has placed every file in order. Errors name the file's path.
Result<Layout> plan_layout(const tree::Tree& tree, const WriteOptions& options, Placer& placer);

}  // namespace nexcage::layerfs::erofs
