// The on-disk format of EROFS as Linux describes it (Documentation/filesystems/erofs.rst and
// https://erofs.docs.kernel.org, "Core on-disk format"): the part that this folder writes and
// reads. All numbers are little-endian; addresses are in blocks of the image's block size.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace nexcage::layerfs::erofs {

static_assert(std::endian::native == std::endian::little,
              "fields are stored as they lie in memory");

inline constexpr std::uint32_t kMagic = 0xE0F5E1E2;
inline constexpr std::size_t kSuperOffset = 1024;

inline constexpr std::uint32_t kCompatChecksum = 0x1;  // the superblock's block has a CRC-32C
inline constexpr std::uint32_t kCompatMtime = 0x2;     // an inode's time is that of its last change
inline constexpr std::uint32_t kIncompatChunks = 0x4;  // chunk-based files, Linux 5.15
inline constexpr std::uint32_t kIncompatDevices = 0x8;

struct SuperBlock {
  std::uint32_t magic = kMagic;
  std::uint32_t checksum = 0;
  std::uint32_t feature_compat = 0;
  std::uint8_t block_bits = 0;
  std::uint8_t extra_slots = 0;
  std::uint16_t root_nid = 0;
  std::uint64_t inodes = 0;
  std::uint64_t epoch = 0;  // time of compact inodes
  std::uint32_t epoch_ns = 0;
  std::uint32_t blocks = 0;
  std::uint32_t meta_block = 0;   // inode N lies at meta_block * block size + 32 * N
  std::uint32_t xattr_block = 0;  // shared attribute N lies at xattr_block * block size + 4 * N
  std::array<std::byte, 16> uuid{};
  std::array<char, 16> volume_name{};
  std::uint32_t feature_incompat = 0;
  std::uint16_t compression = 0;
  std::uint16_t devices = 0;      // besides the image itself
  std::uint16_t device_slot = 0;  // their table lies at device_slot * sizeof(DeviceSlot)
  std::uint8_t dir_block_bits = 0;
  std::uint8_t xattr_prefixes = 0;
  std::uint32_t xattr_prefix_start = 0;
  std::uint64_t packed_nid = 0;
  std::array<std::uint8_t, 24> reserved{};
};
static_assert(sizeof(SuperBlock) == 128);

struct DeviceSlot {
  std::array<char, 64> tag{};
  std::uint32_t blocks = 0;
  std::uint32_t mapped_block =
      0;  // where it begins in one space with the image and the devices before
  std::array<std::uint8_t, 56> reserved{};
};
static_assert(sizeof(DeviceSlot) == 128);

/// Bit 0 of an inode's format: 64 bytes with ids, times and link counts of full width.
inline constexpr std::uint16_t kExtended = 1;
/// Bits 1 to 3: where the data is.
enum class DataLayout : std::uint16_t {
  plain = 0,   // in blocks, one after the other
  tail = 2,    // the same, but the last, partial block follows the inode, within one block
  chunks = 4,  // a table of chunk indexes follows the inode
};

inline constexpr std::size_t kSlotBytes = 32;  // inodes lie at multiples of it

struct CompactInode {
  std::uint16_t format = 0;
  std::uint16_t xattr_count = 0;
  std::uint16_t mode = 0;
  std::uint16_t nlink = 0;
  std::uint32_t size = 0;
  std::uint32_t reserved = 0;
  std::uint32_t data = 0;
  std::uint32_t ino = 0;
  std::uint16_t uid = 0, gid = 0;
  std::uint32_t reserved2 = 0;
};
static_assert(sizeof(CompactInode) == 32);

struct ExtendedInode {
  std::uint16_t format = 0;
  std::uint16_t xattr_count = 0;  // 0: none; n: 12 + (n - 1) * 4 bytes of attributes follow
  std::uint16_t mode = 0;
  std::uint16_t reserved = 0;
  std::uint64_t size = 0;
  std::uint32_t data = 0;  // first block, device number, or ChunkFormat, by type and layout
  std::uint32_t ino = 0;   // for stat of 32 bits
  std::uint32_t uid = 0, gid = 0;
  std::int64_t mtime = 0;
  std::uint32_t mtime_ns = 0;
  std::uint32_t nlink = 0;
  std::array<std::uint8_t, 16> reserved2{};
};
static_assert(sizeof(ExtendedInode) == 64);

/// Of a chunk-based file, in ExtendedInode::data: chunks are block size << (value & mask) bytes.
inline constexpr std::uint32_t kChunkBitsMask = 0x1f;
inline constexpr std::uint32_t kChunkIndexes = 0x20;  // entries are ChunkIndex, else bare addresses

inline constexpr std::uint32_t kNoBlock = 0xffffffff;  // of a chunk: a hole

/// The table lies at the next multiple of its size after inode and attributes.
struct ChunkIndex {
  std::uint16_t reserved = 0;
  std::uint16_t device = 0;  // 0: the image itself; n: slot n - 1
  std::uint32_t block = kNoBlock;
};
static_assert(sizeof(ChunkIndex) == 8);

struct XattrHeader {
  std::uint32_t name_filter = 0;
  std::uint8_t shared = 0;  // so many ids of 4 bytes follow, then entries to the end
  std::array<std::uint8_t, 7> reserved{};
};
static_assert(sizeof(XattrHeader) == 12);

/// Name (without its prefix) and value follow; the next entry lies at a multiple of 4.
struct XattrEntry {
  std::uint8_t name_length = 0;
  std::uint8_t prefix = 0;
  std::uint16_t value_size = 0;
};
static_assert(sizeof(XattrEntry) == 4);

inline constexpr std::size_t kXattrAlign = 4;
inline constexpr std::size_t kMaxXattrCount = 0xffff;

/// A directory block begins with its entries, the first one's name offset says how many; the names
/// follow in the same order, each up to the next one's, the last up to a NUL or the block's end.
/// Names ascend by byte over the whole directory, "." and ".." among them.
struct Dirent {
  std::uint32_t nid_low = 0, nid_high = 0;
  std::uint16_t name_offset = 0;
  std::uint8_t type = 0;
  std::uint8_t reserved = 0;
};
static_assert(sizeof(Dirent) == 12);

inline constexpr std::size_t kMaxName = 255;

enum class FileType : std::uint8_t {
  unknown,
  regular,
  directory,
  char_device,
  block_device,
  fifo,
  socket,
  symlink
};

/// Linux has device numbers of 12 and 20 bits and keeps them in 32.
inline constexpr std::uint32_t kMaxMajor = 0xfff, kMaxMinor = 0xfffff;
constexpr std::uint32_t encode_device(std::uint32_t major, std::uint32_t minor) {
  return (minor & 0xff) | (major << 8) | ((minor & ~std::uint32_t{0xff}) << 12);
}
constexpr std::uint32_t device_major(std::uint32_t device) { return (device >> 8) & kMaxMajor; }
constexpr std::uint32_t device_minor(std::uint32_t device) {
  return (device & 0xff) | ((device >> 12) & 0xfff00);
}

constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace nexcage::layerfs::erofs
