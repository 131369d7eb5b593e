// One directory as EROFS keeps it: blocks of entries, sorted over all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::layerfs::erofs {

/// The entries of a directory in the order on disk: those of the tree with "." and ".." where they
/// belong. The span must outlive it.
class DirectoryView {
 public:
  /// `entries` in byte order of the names.
  DirectoryView(std::span<const tree::Entry> entries, tree::InodeId self, tree::InodeId parent);

  std::size_t size() const { return entries_.size() + 2; }
  tree::Entry operator[](std::size_t i) const;

  /// The index behind the last entry that fits into one block together with `first`; `used`: bytes
  /// that they take.
  std::size_t block_end(std::size_t first, std::size_t block_size, std::size_t& used) const;

 private:
  std::span<const tree::Entry> entries_;
  tree::InodeId self_, parent_;
  std::size_t dot_, dot_dot_;
};

/// How a directory's blocks are filled.
struct DirectorySize {
  std::uint64_t bytes = 0;     // the last block counts as far as it is used
  std::size_t last_first = 0;  // index of the last block's first entry
};
DirectorySize size_of(const DirectoryView& directory, std::size_t block_size);

/// What a block says of an entry besides its name.
struct DirentTarget {
  std::uint64_t nid = 0;
  std::uint8_t type = 0;
};
/// Fills one block with the entries [first, end). The names end where the bytes end or with zeros.
void fill_block(const DirectoryView& directory, std::size_t first, std::size_t end,
                const std::function<DirentTarget(tree::InodeId)>& target,
                std::span<std::byte> block);

}  // namespace nexcage::layerfs::erofs
