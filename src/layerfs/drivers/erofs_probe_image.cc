#include "nexcage/layerfs/drivers/erofs_probe_image.h"

#include <sys/stat.h>

#include <cstddef>

namespace nexcage::layerfs::erofs_driver {
namespace {

constexpr std::size_t kSuperOffset = 1024;
constexpr std::uint32_t kMagic = 0xE0F5E1E2;
constexpr std::uint32_t kChunkedFile = 0x4, kDeviceTable = 0x8;  // incompatible features
constexpr std::size_t kDeviceSlot = 9;                           // right behind the superblock
constexpr std::size_t kDeviceSlotSize = 128;
constexpr std::size_t kInodeSize = 32;  // compact
constexpr std::size_t kRootInode = 1280, kFileInode = 1376;
constexpr std::size_t kDirentSize = 12;
constexpr unsigned kInline = 2, kChunkBased = 4;  // data layouts
constexpr unsigned kChunkIndexes = 0x20;

void put(std::string& image, std::size_t at, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    image[at + i] = static_cast<char>((value >> (8 * i)) & 0xff);
}

void put_super_block(std::string& image, unsigned block_bits) {
  put(image, kSuperOffset, kMagic, 4);
  put(image, kSuperOffset + 12, block_bits, 1);
  put(image, kSuperOffset + 14, kRootInode / kInodeSize, 2);
  put(image, kSuperOffset + 16, 2, 8);                           // inodes
  put(image, kSuperOffset + 36, image.size() >> block_bits, 4);  // blocks
  put(image, kSuperOffset + 80, kChunkedFile | kDeviceTable, 4);
  put(image, kSuperOffset + 86, 1, 2);  // extra devices
  put(image, kSuperOffset + 88, kDeviceSlot, 2);
  put(image, kDeviceSlot * kDeviceSlotSize + 64, 1, 4);  // its blocks
}

void put_inode(std::string& image, std::size_t at, unsigned layout, unsigned mode,
               std::size_t size) {
  put(image, at, layout << 1, 2);
  put(image, at + 4, mode, 2);
  put(image, at + 6, S_ISDIR(mode) ? 2 : 1, 2);  // links
  put(image, at + 8, size, 4);
  put(image, at + 20, at / kInodeSize, 4);  // inode number
}

struct Name {
  std::string_view name;
  std::size_t inode;
  unsigned type;
};

/// A directory's data, which follows its inode.
std::size_t put_directory(std::string& image, std::size_t at) {
  const Name names[] = {{".", kRootInode, 2}, {"..", kRootInode, 2}, {kProbeName, kFileInode, 1}};
  std::size_t entry = at, text = at + std::size(names) * kDirentSize;
  for (const Name& one : names) {
    put(image, entry, one.inode / kInodeSize, 8);
    put(image, entry + 8, text - at, 2);
    put(image, entry + 10, one.type, 1);
    image.replace(text, one.name.size(), one.name);
    entry += kDirentSize;
    text += one.name.size();
  }
  return text - at;
}

}  // namespace

std::string probe_image(unsigned block_bits) {
  const std::size_t block = std::size_t{1} << block_bits;
  std::string image((1536 + block - 1) / block * block, '\0');
  put_super_block(image, block_bits);
  put_inode(image, kRootInode, kInline, S_IFDIR | 0555,
            put_directory(image, kRootInode + kInodeSize));
  put_inode(image, kFileInode, kChunkBased, S_IFREG | 0444, block);
  put(image, kFileInode + 16, kChunkIndexes, 2);  // chunks of one block
  put(image, kFileInode + kInodeSize + 2, 1, 2);  // device 1, block 0
  return image;
}

std::string probe_device(unsigned block_bits) {
  std::string data = "nexcage reads this through EROFS.\n";
  data.resize(std::size_t{1} << block_bits, '.');
  return data;
}

}  // namespace nexcage::layerfs::erofs_driver
