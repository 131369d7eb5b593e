#include "nexcage/layerfs/erofs/directory.h"

#include <algorithm>
#include <cstring>

#include "nexcage/layerfs/erofs/format.h"

namespace nexcage::layerfs::erofs {

DirectoryView::DirectoryView(std::span<const tree::Entry> entries, tree::InodeId self,
                             tree::InodeId parent)
    : entries_(entries), self_(self), parent_(parent) {
  const auto before = [&](std::string_view name) {
    return static_cast<std::size_t>(
        std::ranges::lower_bound(entries, name, {}, &tree::Entry::name) - entries.begin());
  };
  dot_ = before(".");
  dot_dot_ = before("..") + 1;
}

tree::Entry DirectoryView::operator[](std::size_t i) const {
  if (i < dot_) return entries_[i];
  if (i == dot_) return {.name = ".", .inode = self_};
  if (i < dot_dot_) return entries_[i - 1];
  if (i == dot_dot_) return {.name = "..", .inode = parent_};
  return entries_[i - 2];
}

std::size_t DirectoryView::block_end(std::size_t first, std::size_t block_size,
                                     std::size_t& used) const {
  used = 0;
  std::size_t i = first;
  for (; i < size(); ++i) {
    const std::size_t more = sizeof(Dirent) + (*this)[i].name.size();
    if (used + more > block_size) break;
    used += more;
  }
  return i;
}

DirectorySize size_of(const DirectoryView& directory, std::size_t block_size) {
  DirectorySize size;
  for (std::size_t first = 0, used = 0; first < directory.size();) {
    const std::size_t end = directory.block_end(first, block_size, used);
    size.last_first = first;
    size.bytes = align_up(size.bytes, block_size) + used;
    first = end;
  }
  return size;
}

void fill_block(const DirectoryView& directory, std::size_t first, std::size_t end,
                const std::function<DirentTarget(tree::InodeId)>& target,
                std::span<std::byte> block) {
  std::size_t at = 0, name_at = (end - first) * sizeof(Dirent);
  for (std::size_t i = first; i < end; ++i) {
    const tree::Entry entry = directory[i];
    const DirentTarget to = target(entry.inode);
    const Dirent dirent{.nid_low = static_cast<std::uint32_t>(to.nid),
                        .nid_high = static_cast<std::uint32_t>(to.nid >> 32),
                        .name_offset = static_cast<std::uint16_t>(name_at),
                        .type = to.type};
    std::memcpy(block.data() + at, &dirent, sizeof dirent);
    std::memcpy(block.data() + name_at, entry.name.data(), entry.name.size());
    at += sizeof dirent;
    name_at += entry.name.size();
  }
  std::ranges::fill(block.subspan(name_at), std::byte{0});
}

}  // namespace nexcage::layerfs::erofs
