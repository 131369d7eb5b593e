// An EROFS image in memory, looked at with suspicion: every offset is checked against the bytes
// that are there, and the bytes that one image makes its reader look at are limited.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/erofs/format.h"
#include "nexcage/layerfs/erofs/read.h"
#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::layerfs::erofs {

/// An inode as its bytes say it, with the bounds of what follows it checked.
struct DiskInode {
  std::uint64_t nid = 0;
  tree::Inode inode{};  // without link target, extents and attributes
  DataLayout layout = DataLayout::plain;
  std::uint64_t size = 0;
  std::uint32_t data = 0;         // as in ExtendedInode
  std::uint64_t xattrs = 0;       // where they begin in the image
  std::uint64_t xattr_bytes = 0;  // 0: none
  std::uint64_t behind = 0;       // where data or the table of chunks may begin
};

class ImageView {
 public:
  /// InvalidImage for what is no image or has a wrong checksum, Unsupported for features that this
  /// reader does not know.
  static Result<ImageView> open(std::span<const std::byte> bytes, const ReadLimits& limits);

  const SuperBlock& super() const { return super_; }
  std::span<const DeviceSlot> devices() const { return devices_; }
  std::uint64_t offset_of(std::uint64_t block) const { return block << super_.block_bits; }
  std::uint64_t block_size() const { return std::uint64_t{1} << super_.block_bits; }

  /// Part of the image. InvalidImage when it is not there, or too much has been asked for.
  Result<std::span<const std::byte>> range(std::uint64_t offset, std::uint64_t length);
  /// A structure of the format.
  template <class T>
  Result<T> object(std::uint64_t offset) {
    NX_TRY(const auto bytes, range(offset, sizeof(T)));
    T object;
    std::memcpy(&object, bytes.data(), sizeof object);
    return object;
  }

  Result<DiskInode> inode(std::uint64_t nid);
  /// Bytes of a directory or symlink, within one block of it.
  Result<std::span<const std::byte>> content(const DiskInode& inode, std::uint64_t offset,
                                             std::uint64_t length);
  /// Of a regular file; sources are devices from 0 on, or kImageSource.
  Result<std::vector<tree::Extent>> extents(const DiskInode& inode);

 private:
  ImageView(std::span<const std::byte> bytes, const ReadLimits& limits)
      : bytes_(bytes), left_(limits.max_metadata), limits_(limits) {}
  Result<> check_super();
  Result<> read_devices();
  Result<std::vector<tree::Extent>> chunk_extents(const DiskInode& inode);
  Result<> check_mapped(const tree::Extent& extent) const;

  std::span<const std::byte> bytes_;
  std::uint64_t left_;  // bytes of metadata that may still be looked at
  ReadLimits limits_;
  SuperBlock super_{};
  std::vector<DeviceSlot> devices_;
};

/// InvalidImage, as every contradiction of an image is.
inline std::unexpected<Error> bad_image(std::string text) {
  return fail(Errc::InvalidImage, "EROFS image: " + std::move(text));
}

}  // namespace nexcage::layerfs::erofs
