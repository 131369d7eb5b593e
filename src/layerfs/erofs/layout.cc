#include "nexcage/layerfs/erofs/layout.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::layerfs::erofs {
namespace {

/// PATH_MAX without its NUL: what readlink(2) of any file system gives at most.
constexpr std::size_t kMaxTarget = 4095;
/// Of an image: what sparse files may cost in tables and zeros beyond their data.
constexpr std::uint64_t kMaxOverhead = std::uint64_t{4} << 30;

class Planner {
 public:
  Planner(const tree::Tree& tree, const WriteOptions& options, Placer& placer)
      : tree_(tree), options_(options), placer_(placer) {}

  Result<Layout> plan();

 private:
  Result<> count_xattrs();
  Result<> add(tree::InodeId directory, std::string_view name, tree::InodeId id);
  DirectoryPlan* open_directory(tree::InodeId id, tree::InodeId parent);
  Result<> give_place(tree::InodeId id, const Placement& placement, bool regular);
  Result<> finish();
  std::string path_of(tree::InodeId directory, std::string_view name) const;
  std::string path_of(tree::InodeId id) const;

  const tree::Tree& tree_;
  const WriteOptions& options_;
  Placer& placer_;
  Layout layout_{};
  std::uint64_t cursor_ = 0, tree_blocks_ = 0, data_blocks_ = 0;
};

std::string Planner::path_of(tree::InodeId directory, std::string_view name) const {
  const std::string parent = tree_.path(directory);
  return quote(parent.empty() ? std::string(name) : parent + "/" + std::string(name));
}

/// By search, for errors.
std::string Planner::path_of(tree::InodeId id) const {
  if (tree_.is_directory(id)) return quote("/" + tree_.path(id));
  for (tree::InodeId directory = 0; directory < tree_.inode_limit(); ++directory) {
    if (!tree_.is_directory(directory) || tree_.inode(directory).nlink == 0) continue;
    for (const tree::Entry& entry : tree_.entries(directory))
      if (entry.inode == id) return path_of(directory, entry.name);
  }
  return "a file without a name";
}

Result<> Planner::count_xattrs() {
  for (tree::InodeId id = 0; id < tree_.inode_limit(); ++id) {
    const tree::Inode inode = tree_.inode(id);
    if (inode.nlink > 0) NX_CHECK(placer_.xattrs().count(inode.xattrs), path_of(id));
  }
  return {};
}

DirectoryPlan* Planner::open_directory(tree::InodeId id, tree::InodeId parent) {
  const std::vector<tree::Entry> entries = tree_.entries(id);
  DirectoryPlan directory{.inode = id, .parent = parent, .first = layout_.entries.size()};
  layout_.entries.insert(layout_.entries.end(), entries.begin(), entries.end());
  directory.end = layout_.entries.size();
  directory.size = size_of(layout_.view(directory), std::size_t{1} << layout_.block_bits);
  return &layout_.directories.emplace_back(directory);
}

Result<> Planner::give_place(tree::InodeId id, const Placement& placement, bool regular) {
  const std::uint64_t block = std::uint64_t{1} << layout_.block_bits;
  const std::uint64_t fixed = sizeof(ExtendedInode) + placement.xattrs.size();
  std::uint64_t at = align_up(cursor_, kSlotBytes);
  // Data behind an inode must not cross a block's end; nor must an inode itself before Linux 5.9,
  // nor a symlink and its inode before 6.9.
  std::uint64_t together = 0;
  if (placement.inline_bytes > 0)
    together = fixed + placement.inline_bytes;
  else if (options_.form == Form::full)
    together = sizeof(ExtendedInode);
  if (at % block + together > block) at = align_up(at, block);
  if (at / kSlotBytes > std::numeric_limits<std::uint32_t>::max())
    return fail(Errc::Unsupported, "more than 128 GiB of inodes");
  layout_.slots[id] = static_cast<std::uint32_t>(at / kSlotBytes);
  cursor_ = at + fixed + placement.inline_bytes;
  if (placement.table_bytes > 0)
    cursor_ = align_up(cursor_, sizeof(ChunkIndex)) + placement.table_bytes;

  std::uint64_t& blocks = regular ? data_blocks_ : tree_blocks_;
  if (blocks + placement.blocks >= kNoBlock)
    return fail(Errc::Unsupported, "an image of more than 2^32 blocks");
  layout_.first_blocks[id] = static_cast<std::uint32_t>(blocks);
  blocks += placement.blocks;
  layout_.chunks = layout_.chunks || placement.data == DataLayout::chunks;
  layout_.order.push_back(id);
  return {};
}

Result<> Planner::add(tree::InodeId directory, std::string_view name, tree::InodeId id) {
  if (layout_.slots[id] != 0) return {};  // has another name
  const tree::Inode inode = tree_.inode(id);
  const DirectoryPlan* plan =
      inode.type == tree::Type::directory ? open_directory(id, directory) : nullptr;
  NX_TRY(const Placement placement, placer_.place(inode, plan), path_of(directory, name));
  NX_CHECK(give_place(id, placement, inode.type == tree::Type::regular), path_of(directory, name));
  if (placer_.overhead() > kMaxOverhead)
    return fail(Errc::Unsupported,
                path_of(directory, name) + ": sparse files need more than 4 GiB of tables");
  return {};
}

Result<> Planner::finish() {
  const std::uint64_t block = std::uint64_t{1} << layout_.block_bits;
  const auto blocks_of = [&](std::uint64_t bytes) { return align_up(bytes, block) / block; };
  layout_.xattr_block = blocks_of(cursor_);
  layout_.tree_block = layout_.xattr_block + blocks_of(placer_.xattrs().shared().size());
  layout_.data_block = layout_.tree_block + tree_blocks_;
  layout_.blocks = layout_.data_block + data_blocks_;
  if (layout_.blocks >= kNoBlock)
    return fail(Errc::Unsupported, "an image of more than 2^32 blocks");
  return {};
}

Result<Layout> Planner::plan() {
  layout_.block_bits = block_bits_of(options_.form);
  layout_.slots.resize(tree_.inode_limit());
  layout_.first_blocks.resize(tree_.inode_limit());
  cursor_ = kSuperOffset + sizeof(SuperBlock);
  if (options_.form == Form::index) cursor_ += count_devices(options_) * sizeof(DeviceSlot);
  NX_CHECK(count_xattrs());
  NX_CHECK(add(tree::Tree::kRoot, "", tree::Tree::kRoot));
  if (layout_.slots[tree::Tree::kRoot] > std::numeric_limits<std::uint16_t>::max())
    return fail(Errc::Unsupported, std::to_string(options_.devices.size()) + " layers: too many");
  std::vector<std::size_t> open = {0};  // directories whose content has no place yet
  while (!open.empty()) {
    const DirectoryPlan directory = layout_.directories[open.back()];
    open.pop_back();
    const std::size_t before = layout_.directories.size();
    for (std::size_t i = directory.first; i < directory.end; ++i)
      NX_CHECK(add(directory.inode, layout_.entries[i].name, layout_.entries[i].inode));
    for (std::size_t i = layout_.directories.size(); i-- > before;) open.push_back(i);
  }
  NX_CHECK(finish());
  return std::move(layout_);
}

}  // namespace

unsigned block_bits_of(Form form) { return form == Form::index ? 9 : 12; }

std::size_t count_devices(const WriteOptions& options) {
  return static_cast<std::size_t>(std::ranges::count(options.devices, true, &Device::in_table));
}

Placer::Placer(unsigned block_bits, const Sources& sources)
    : block_size_(std::uint64_t{1} << block_bits), mapper_(sources) {}

/// All but the last, partial block elsewhere, that one behind the inode where it fits.
void Placer::place_flat(Placement& placement, std::uint64_t bytes) const {
  placement.size = bytes;
  const std::uint64_t tail = bytes % block_size_;
  if (tail > 0 && sizeof(ExtendedInode) + placement.xattrs.size() + tail <= block_size_) {
    placement.data = DataLayout::tail;
    placement.inline_bytes = tail;
  }
  placement.blocks = align_up(bytes - placement.inline_bytes, block_size_) / block_size_;
}

Result<> Placer::place_regular(const tree::Inode& inode, Placement& placement) {
  NX_TRY(const FileMap map, mapper_.map(inode));
  placement.size = inode.size;
  overhead_ += map.overhead;
  switch (map.layout) {
    case FileMap::Layout::empty:
      break;
    case FileMap::Layout::flat:
      // Only whole files: large ones lie in one piece, to be copied and mapped as such.
      if (inode.size < block_size_)
        place_flat(placement, inode.size);
      else
        placement.blocks = map.own_blocks;
      break;
    case FileMap::Layout::chunks:
      placement.data = DataLayout::chunks;
      placement.chunk_bits = map.chunk_bits;
      placement.table_bytes = map.chunks * sizeof(ChunkIndex);
      placement.blocks = map.own_blocks;
  }
  return {};
}

Result<Placement> Placer::place(const tree::Inode& inode, const DirectoryPlan* directory) {
  Placement placement;
  NX_TRY(placement.xattrs, xattrs_.place(inode.xattrs));
  switch (inode.type) {
    case tree::Type::regular:
      NX_CHECK(place_regular(inode, placement));
      break;
    case tree::Type::directory:
      place_flat(placement, directory->size.bytes);
      break;
    case tree::Type::symlink:
      if (inode.link_target.empty() || inode.link_target.size() > kMaxTarget)
        return fail(Errc::InvalidImage, "the target of a symlink has " +
                                            std::to_string(inode.link_target.size()) + " bytes");
      place_flat(placement, inode.link_target.size());
      break;
    case tree::Type::char_device:
    case tree::Type::block_device:
      if (inode.dev_major > kMaxMajor || inode.dev_minor > kMaxMinor)
        return fail(Errc::Unsupported, "device " + std::to_string(inode.dev_major) + ":" +
                                           std::to_string(inode.dev_minor) +
                                           ": Linux has no such numbers");
      break;
    case tree::Type::fifo:
      break;
  }
  return placement;
}

Result<Layout> plan_layout(const tree::Tree& tree, const WriteOptions& options, Placer& placer) {
  return Planner(tree, options, placer).plan();
}

}  // namespace nexcage::layerfs::erofs
