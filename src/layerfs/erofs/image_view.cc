#include "nexcage/layerfs/erofs/image_view.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "nexcage/layerfs/erofs/crc32c.h"

namespace nexcage::layerfs::erofs {
namespace {

constexpr unsigned kMinBlockBits = 9, kMaxBlockBits = 12;
/// Says only that compressed data, which is refused, would be padded in front.
constexpr std::uint32_t kIncompatPadding = 0x1;
constexpr std::uint32_t kKnownFeatures = kIncompatPadding | kIncompatChunks | kIncompatDevices;
constexpr std::uint16_t kTypeBits = 0170000;

std::string nid_text(std::uint64_t nid) { return "inode " + std::to_string(nid); }

Result<tree::Type> type_of(std::uint16_t mode) {
  switch (mode & kTypeBits) {
    case 0100000:
      return tree::Type::regular;
    case 0040000:
      return tree::Type::directory;
    case 0120000:
      return tree::Type::symlink;
    case 0020000:
      return tree::Type::char_device;
    case 0060000:
      return tree::Type::block_device;
    case 0010000:
      return tree::Type::fifo;
    case 0140000:
      return fail(Errc::Unsupported, "EROFS image: a socket");
    default:
      return bad_image("mode " + std::to_string(mode));
  }
}

/// What both kinds of inodes say, at `offset`; all but the time.
template <class Disk>
Result<DiskInode> decode(const Disk& disk, std::uint64_t offset) {
  DiskInode inode{.size = disk.size, .data = disk.data, .xattrs = offset + sizeof disk};
  NX_TRY(inode.inode.type, type_of(disk.mode));
  inode.inode.mode = disk.mode & 07777;
  inode.inode.uid = disk.uid;
  inode.inode.gid = disk.gid;
  inode.inode.nlink = disk.nlink;
  if (disk.xattr_count > 0)
    inode.xattr_bytes = sizeof(XattrHeader) + (disk.xattr_count - 1U) * kXattrAlign;
  inode.behind = inode.xattrs + inode.xattr_bytes;
  if (inode.inode.type == tree::Type::char_device || inode.inode.type == tree::Type::block_device) {
    inode.inode.dev_major = device_major(disk.data);
    inode.inode.dev_minor = device_minor(disk.data);
  } else if (inode.inode.type == tree::Type::regular) {
    inode.inode.size = disk.size;
  }
  return inode;
}

}  // namespace

Result<std::span<const std::byte>> ImageView::range(std::uint64_t offset, std::uint64_t length) {
  if (offset > bytes_.size() || length > bytes_.size() - offset)
    return bad_image("byte " + std::to_string(offset) + " is not in the image");
  if (length > left_) return bad_image("more metadata than allowed");
  left_ -= length;
  return bytes_.subspan(offset, length);
}

Result<ImageView> ImageView::open(std::span<const std::byte> bytes, const ReadLimits& limits) {
  ImageView view(bytes, limits);
  NX_TRY(view.super_, view.object<SuperBlock>(kSuperOffset));
  NX_CHECK(view.check_super());
  NX_CHECK(view.read_devices());
  return view;
}

Result<> ImageView::check_super() {
  if (super_.magic != kMagic) return bad_image("no superblock");
  if (super_.block_bits < kMinBlockBits || super_.block_bits > kMaxBlockBits ||
      super_.dir_block_bits != 0)
    return fail(Errc::Unsupported,
                "EROFS image: blocks of 2^" + std::to_string(super_.block_bits) + " bytes");
  if ((super_.feature_incompat & ~kKnownFeatures) != 0)
    return fail(Errc::Unsupported,
                "EROFS image: features " + std::to_string(super_.feature_incompat));
  if ((super_.feature_compat & kCompatChecksum) == 0) return {};
  const std::uint64_t covered =
      block_size() > kSuperOffset ? block_size() - kSuperOffset : block_size();
  NX_TRY(const auto bytes, range(kSuperOffset, covered));
  std::vector<std::byte> copy(bytes.begin(), bytes.end());
  std::fill_n(copy.begin() + offsetof(SuperBlock, checksum), sizeof super_.checksum, std::byte{0});
  if (crc32c(~std::uint32_t{0}, copy) != super_.checksum)
    return bad_image("the superblock's checksum is wrong");
  return {};
}

Result<> ImageView::read_devices() {
  if ((super_.feature_incompat & kIncompatDevices) == 0) return {};
  const std::uint64_t table = std::uint64_t{super_.device_slot} * sizeof(DeviceSlot);
  for (std::uint64_t i = 0; i < super_.devices; ++i) {
    NX_TRY(const auto slot, object<DeviceSlot>(table + i * sizeof(DeviceSlot)));
    devices_.push_back(slot);
  }
  return {};
}

Result<DiskInode> ImageView::inode(std::uint64_t nid) {
  if (nid > bytes_.size() / kSlotBytes) return bad_image(nid_text(nid) + " is not in the image");
  const std::uint64_t offset = offset_of(super_.meta_block) + nid * kSlotBytes;
  NX_TRY(const auto format, object<std::uint16_t>(offset), nid_text(nid));
  DiskInode inode;
  if ((format & kExtended) != 0) {
    NX_TRY(const auto disk, object<ExtendedInode>(offset), nid_text(nid));
    NX_TRY(inode, decode(disk, offset), nid_text(nid));
    inode.inode.mtime = disk.mtime;
    inode.inode.mtime_ns = disk.mtime_ns;
  } else {
    NX_TRY(const auto disk, object<CompactInode>(offset), nid_text(nid));
    NX_TRY(inode, decode(disk, offset), nid_text(nid));
    inode.inode.mtime = static_cast<std::int64_t>(super_.epoch);
    inode.inode.mtime_ns = super_.epoch_ns;
  }
  inode.nid = nid;
  const unsigned layout = format >> 1;
  if (layout != 0 && layout != 2 && layout != 4)
    return fail(Errc::Unsupported,
                "EROFS image: " + nid_text(nid) + " has data in layout " + std::to_string(layout));
  inode.layout = static_cast<DataLayout>(layout);
  if (inode.size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return bad_image(nid_text(nid) + " is larger than a file can be");
  if (inode.inode.mtime_ns >= 1'000'000'000)
    return bad_image(nid_text(nid) + " has a time that is none");
  return inode;
}

Result<std::span<const std::byte>> ImageView::content(const DiskInode& inode, std::uint64_t offset,
                                                      std::uint64_t length) {
  if (inode.layout == DataLayout::chunks)
    return fail(Errc::Unsupported, "EROFS image: " + nid_text(inode.nid) + " is in chunks");
  const std::uint64_t tail = inode.layout == DataLayout::tail
                                 ? (inode.size - 1) / block_size() * block_size()
                                 : inode.size;
  if (offset < tail) return range(offset_of(inode.data) + offset, length);
  const std::uint64_t at = inode.behind + (offset - tail);
  if (at % block_size() + length > block_size())
    return bad_image("the data behind " + nid_text(inode.nid) + " crosses a block's end");
  return range(at, length);
}

Result<> ImageView::check_mapped(const tree::Extent& extent) const {
  const std::uint64_t end = extent.source_offset + extent.length;
  if (extent.source == kImageSource) {
    if (end > bytes_.size()) return bad_image("file data behind the image's end");
  } else if (extent.source >= devices_.size() || end > offset_of(devices_[extent.source].blocks)) {
    return bad_image("file data that is on no device");
  }
  return {};
}

Result<std::vector<tree::Extent>> ImageView::extents(const DiskInode& inode) {
  std::vector<tree::Extent> extents;
  if (inode.size == 0) return extents;
  if (inode.layout == DataLayout::chunks) return chunk_extents(inode);
  const std::uint64_t tail = inode.layout == DataLayout::tail
                                 ? (inode.size - 1) / block_size() * block_size()
                                 : inode.size;
  if (tail > 0)
    extents.push_back(
        {.length = tail, .source_offset = offset_of(inode.data), .source = kImageSource});
  if (tail < inode.size) {
    const std::uint64_t length = inode.size - tail;
    NX_CHECK(content(inode, tail, length));
    extents.push_back(
        {.offset = tail, .length = length, .source_offset = inode.behind, .source = kImageSource});
  }
  // Sums of sizes and 44-bit addresses do not wrap.
  for (const tree::Extent& extent : extents) NX_CHECK(check_mapped(extent), nid_text(inode.nid));
  return extents;
}

Result<std::vector<tree::Extent>> ImageView::chunk_extents(const DiskInode& inode) {
  if ((inode.data & ~(kChunkBitsMask | kChunkIndexes)) != 0)
    return fail(Errc::Unsupported, "EROFS image: " + nid_text(inode.nid) +
                                       " has chunks of format " + std::to_string(inode.data));
  const bool indexes = (inode.data & kChunkIndexes) != 0;
  const unsigned chunk_bits = super_.block_bits + (inode.data & kChunkBitsMask);
  const std::uint64_t chunk = std::uint64_t{1} << chunk_bits;
  const std::uint64_t unit = indexes ? sizeof(ChunkIndex) : sizeof(std::uint32_t);
  const std::uint64_t count = (inode.size - 1) / chunk + 1;
  if (count > bytes_.size() / unit) return bad_image("the chunks of " + nid_text(inode.nid));
  NX_TRY(const auto table, range(align_up(inode.behind, unit), count * unit));
  std::vector<tree::Extent> extents;
  for (std::uint64_t i = 0; i < count; ++i) {
    ChunkIndex index;
    if (indexes)
      std::memcpy(&index, table.data() + i * unit, unit);
    else
      std::memcpy(&index.block, table.data() + i * unit, unit);
    if (index.block == kNoBlock) continue;
    const tree::Extent extent{.offset = i * chunk,
                              .length = std::min(chunk, inode.size - i * chunk),
                              .source_offset = offset_of(index.block),
                              .source = index.device == 0 ? kImageSource : index.device - 1U};
    NX_CHECK(check_mapped(extent), nid_text(inode.nid));
    if (!extents.empty()) {
      tree::Extent& last = extents.back();
      if (last.source == extent.source && last.offset + last.length == extent.offset &&
          last.source_offset + last.length == extent.source_offset) {
        last.length += extent.length;
        continue;
      }
    }
    extents.push_back(extent);
  }
  return extents;
}

}  // namespace nexcage::layerfs::erofs
