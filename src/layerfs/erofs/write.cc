#include "nexcage/layerfs/erofs/write.h"

#include <algorithm>
#include <string>

#include "nexcage/layerfs/erofs/crc32c.h"
#include "nexcage/layerfs/erofs/format.h"
#include "nexcage/layerfs/erofs/layout.h"
#include "nexcage/layerfs/erofs/output.h"

namespace nexcage::layerfs::erofs {
namespace {

struct Kind {
  std::uint16_t mode;
  FileType type;
};

/// By tree::Type: the type's bits of a mode (inode(7)), and what directories say.
constexpr std::array<Kind, 6> kKinds = {{{0100000, FileType::regular},
                                         {0040000, FileType::directory},
                                         {0120000, FileType::symlink},
                                         {0020000, FileType::char_device},
                                         {0060000, FileType::block_device},
                                         {0010000, FileType::fifo}}};
Kind kind_of(tree::Type type) { return kKinds[static_cast<std::size_t>(type)]; }

/// Writes what the layout says, front to back.
class Writer {
 public:
  Writer(const tree::Tree& tree, const WriteOptions& options, std::span<const int> tars,
         const Layout& layout, Placer& placer, int out)
      : tree_(tree),
        options_(options),
        tars_(tars),
        layout_(layout),
        placer_(placer),
        out_(out),
        block_size_(std::uint64_t{1} << layout.block_bits),
        block_(block_size_) {
    std::uint16_t number = 0;
    slots_.reserve(options.devices.size());
    for (const Device& device : options.devices) slots_.push_back(device.in_table ? ++number : 0);
  }

  Result<Written> run();

 private:
  bool has_devices() const { return options_.form == Form::index && count_devices(options_) > 0; }
  SuperBlock super_block() const;
  void put_devices();
  Result<> put_inodes();
  std::uint32_t data_field(tree::InodeId id, const tree::Inode& inode,
                           const Placement& placement) const;
  void put_inode(tree::InodeId id, const tree::Inode& inode, const Placement& placement);
  Result<> put_behind(tree::InodeId id, const tree::Inode& inode, const Placement& placement,
                      const DirectoryPlan* directory);
  void put_chunk_table(tree::InodeId id);
  void put_directory_block(const DirectoryPlan& directory, std::size_t first, std::size_t end,
                           std::size_t bytes);
  Result<> put_tree_blocks();
  Result<> put_data();
  Result<> copy_own_chunks(const tree::Inode& inode);

  const tree::Tree& tree_;
  const WriteOptions& options_;
  std::span<const int> tars_;
  const Layout& layout_;
  Placer& placer_;
  Output out_;
  std::uint64_t block_size_;
  std::vector<std::byte> block_;
  std::vector<std::uint16_t> slots_;  // by source: its device, from 1; 0 for none
};

SuperBlock Writer::super_block() const {
  SuperBlock super{
      .feature_compat = kCompatChecksum | kCompatMtime,
      .block_bits = static_cast<std::uint8_t>(layout_.block_bits),
      .root_nid = static_cast<std::uint16_t>(layout_.slots[tree::Tree::kRoot]),
      .inodes = layout_.order.size(),
      .blocks = static_cast<std::uint32_t>(layout_.blocks),
      .xattr_block = static_cast<std::uint32_t>(layout_.xattr_block),
      .uuid = options_.uuid,
      .feature_incompat =
          (layout_.chunks ? kIncompatChunks : 0) | (has_devices() ? kIncompatDevices : 0),
  };
  if (has_devices()) {
    super.devices = static_cast<std::uint16_t>(count_devices(options_));
    super.device_slot = (kSuperOffset + sizeof(SuperBlock)) / sizeof(DeviceSlot);
  }
  return super;
}

/// Image and tars also have one common space of addresses, for who gets them as one disk; what does
/// not fit into it is not there.
void Writer::put_devices() {
  if (!has_devices()) return;
  std::uint64_t mapped = layout_.blocks;
  for (const Device& device : options_.devices) {
    if (!device.in_table) continue;
    const std::uint64_t blocks = align_up(device.bytes, block_size_) / block_size_;
    DeviceSlot slot{.blocks = static_cast<std::uint32_t>(blocks)};
    if (mapped + blocks < kNoBlock) slot.mapped_block = static_cast<std::uint32_t>(mapped);
    mapped += blocks;
    out_.put_object(slot);
  }
}

std::uint32_t Writer::data_field(tree::InodeId id, const tree::Inode& inode,
                                 const Placement& placement) const {
  if (inode.type == tree::Type::char_device || inode.type == tree::Type::block_device)
    return encode_device(inode.dev_major, inode.dev_minor);
  if (placement.data == DataLayout::chunks)
    return kChunkIndexes | (placement.chunk_bits - layout_.block_bits);
  if (placement.blocks == 0) return 0;
  const bool regular = inode.type == tree::Type::regular;
  return static_cast<std::uint32_t>((regular ? layout_.data_block : layout_.tree_block) +
                                    layout_.first_blocks[id]);
}

void Writer::put_inode(tree::InodeId id, const tree::Inode& inode, const Placement& placement) {
  ExtendedInode extended{
      .format = static_cast<std::uint16_t>(kExtended | static_cast<unsigned>(placement.data) << 1),
      .mode = static_cast<std::uint16_t>(kind_of(inode.type).mode | (inode.mode & 07777)),
      .size = placement.size,
      .data = data_field(id, inode, placement),
      .ino = layout_.slots[id],
      .uid = inode.uid,
      .gid = inode.gid,
      .mtime = inode.mtime,
      .mtime_ns = inode.mtime_ns,
      .nlink = inode.nlink};
  if (const std::size_t bytes = placement.xattrs.size(); bytes > 0)
    extended.xattr_count =
        static_cast<std::uint16_t>((bytes - sizeof(XattrHeader)) / kXattrAlign + 1);
  out_.put_object(extended);
}

void Writer::put_chunk_table(tree::InodeId id) {
  out_.zeros_to(align_up(out_.position(), sizeof(ChunkIndex)));
  const std::uint64_t own = layout_.data_block + layout_.first_blocks[id];
  for (Chunk chunk; placer_.mapper().next(chunk);) {
    ChunkIndex index;
    if (chunk.kind == Chunk::Kind::device) {
      index.device = slots_[chunk.source];
      index.block = static_cast<std::uint32_t>(chunk.block);
    } else if (chunk.kind == Chunk::Kind::own) {
      index.block = static_cast<std::uint32_t>(own + chunk.block);
    }
    out_.put_object(index);
  }
}

/// Data of the file that was placed last, from the present position on.
Result<> Writer::copy_own_chunks(const tree::Inode& inode) {
  const std::uint64_t begin = out_.position();
  std::size_t next = 0;
  for (Chunk chunk; placer_.mapper().next(chunk);) {
    if (chunk.kind != Chunk::Kind::own) continue;
    const std::uint64_t end = chunk.offset + chunk.length;
    const std::uint64_t base = begin + (chunk.block << layout_.block_bits);
    for (; next < inode.extents.size() && inode.extents[next].offset < end; ++next) {
      const tree::Extent& extent = inode.extents[next];
      const std::uint64_t from = std::max(extent.offset, chunk.offset);
      const std::uint64_t to = std::min(extent.offset + extent.length, end);
      if (from < to) {
        if (extent.source >= tars_.size())
          return fail(Errc::InvalidImage, "no archive of layer " + std::to_string(extent.source));
        out_.zeros_to(base + (from - chunk.offset));
        out_.copy(tars_[extent.source], extent.source_offset + (from - extent.offset), to - from);
      }
      if (extent.offset + extent.length > end) break;  // goes on in the next chunk
    }
    out_.zeros_to(base + chunk.length);
  }
  return {};
}

void Writer::put_directory_block(const DirectoryPlan& directory, std::size_t first, std::size_t end,
                                 std::size_t bytes) {
  const std::span<std::byte> block = std::span(block_).first(bytes);
  const auto target = [&](tree::InodeId id) {
    return DirentTarget{.nid = layout_.slots[id],
                        .type = static_cast<std::uint8_t>(kind_of(tree_.inode(id).type).type)};
  };
  fill_block(layout_.view(directory), first, end, target, block);
  out_.put(block);
}

Result<> Writer::put_behind(tree::InodeId id, const tree::Inode& inode, const Placement& placement,
                            const DirectoryPlan* directory) {
  out_.put(placement.xattrs);
  if (placement.data == DataLayout::chunks) put_chunk_table(id);
  if (placement.inline_bytes == 0) return {};
  if (inode.type == tree::Type::directory) {
    put_directory_block(*directory, directory->size.last_first, layout_.view(*directory).size(),
                        placement.inline_bytes);
  } else if (inode.type == tree::Type::symlink) {
    const auto target = std::as_bytes(std::span(inode.link_target));
    out_.put(target.last(placement.inline_bytes));
  } else {
    return copy_own_chunks(inode);
  }
  return {};
}

Result<> Writer::put_inodes() {
  const DirectoryPlan* directory = layout_.directories.data();
  for (const tree::InodeId id : layout_.order) {
    const tree::Inode inode = tree_.inode(id);
    const bool is_directory = inode.type == tree::Type::directory;
    NX_TRY(const Placement placement, placer_.place(inode, is_directory ? directory : nullptr));
    out_.zeros_to(layout_.position(id));
    put_inode(id, inode, placement);
    NX_CHECK(put_behind(id, inode, placement, directory));
    if (is_directory) ++directory;
  }
  return {};
}

/// What of directories and symlinks does not lie behind their inodes.
Result<> Writer::put_tree_blocks() {
  const DirectoryPlan* directory = layout_.directories.data();
  for (const tree::InodeId id : layout_.order) {
    const tree::Inode inode = tree_.inode(id);
    const bool is_directory = inode.type == tree::Type::directory;
    if (!is_directory && inode.type != tree::Type::symlink) continue;
    NX_TRY(const Placement placement, placer_.place(inode, is_directory ? directory : nullptr));
    const std::uint64_t end = out_.position() + placement.blocks * block_size_;
    if (inode.type == tree::Type::symlink) {
      const auto target = std::as_bytes(std::span(inode.link_target));
      out_.put(target.first(target.size() - placement.inline_bytes));
      out_.zeros_to(end);
      continue;
    }
    const DirectoryView view = layout_.view(*directory);
    for (std::size_t first = 0, used = 0; out_.position() < end;) {
      const std::size_t next = view.block_end(first, block_size_, used);
      put_directory_block(*directory, first, next, block_size_);
      first = next;
    }
    ++directory;
  }
  return {};
}

Result<> Writer::put_data() {
  for (const tree::InodeId id : layout_.order) {
    const tree::Inode inode = tree_.inode(id);
    if (inode.type != tree::Type::regular) continue;
    NX_TRY(const Placement placement, placer_.place(inode, nullptr));
    if (placement.blocks == 0) continue;
    const std::uint64_t end = out_.position() + placement.blocks * block_size_;
    NX_CHECK(copy_own_chunks(inode));
    out_.zeros_to(end);
  }
  return {};
}

Result<Written> Writer::run() {
  SuperBlock super = super_block();
  out_.zeros_to(kSuperOffset);
  out_.put_object(super);
  put_devices();
  NX_CHECK(put_inodes());
  out_.zeros_to(layout_.xattr_block * block_size_);
  out_.put(placer_.xattrs().shared());
  out_.zeros_to(layout_.tree_block * block_size_);
  NX_CHECK(put_tree_blocks());
  if (layout_.blocks > layout_.data_block) NX_CHECK(put_data());
  out_.zeros_to(layout_.blocks * block_size_);
  // The checksum is over the superblock and what follows it in its block, itself as zero.
  const std::size_t covered = block_size_ > kSuperOffset ? block_size_ - kSuperOffset : block_size_;
  super.checksum = crc32c(~std::uint32_t{0}, out_.head().subspan(kSuperOffset, covered));
  NX_CHECK(out_.finish(kSuperOffset + offsetof(SuperBlock, checksum),
                       std::as_bytes(std::span(&super.checksum, 1))));
  return Written{.bytes = layout_.blocks * block_size_, .inodes = layout_.order.size()};
}

Result<> check_devices(const WriteOptions& options) {
  for (const Device& device : options.devices)
    if (options.form == Form::index && device.bytes >> block_bits_of(Form::index) >= kNoBlock)
      return fail(Errc::Unsupported, "a layer of " + std::to_string(device.bytes) +
                                         " bytes: an EROFS index reaches 2 TiB");
  return {};
}

}  // namespace

Result<Written> write(const tree::Tree& tree, const WriteOptions& options,
                      std::span<const int> tars, int out) {
  NX_CHECK(check_devices(options));
  const unsigned bits = block_bits_of(options.form);
  std::vector<std::uint64_t> sizes;
  Sources sources{.block_bits = bits, .count = static_cast<std::uint32_t>(tars.size())};
  if (options.form == Form::index) {
    // What is left out has no bytes that anything could refer to.
    for (const Device& device : options.devices)
      sizes.push_back(device.in_table ? device.bytes : 0);
    sources.count = static_cast<std::uint32_t>(sizes.size());
    sources.in_place = true;
    sources.bytes = sizes;
  }
  Placer placer(bits, sources);
  NX_TRY(const Layout layout, plan_layout(tree, options, placer));
  return Writer(tree, options, tars, layout, placer, out).run();
}

}  // namespace nexcage::layerfs::erofs
