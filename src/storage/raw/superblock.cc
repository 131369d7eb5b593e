#include "nexcage/storage/raw/superblock.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>

namespace nexcage::storage::raw {
namespace {

using Bytes = std::span<const unsigned char>;

/// A field of so many bytes; the caller has checked that the block is long enough.
std::uint64_t little_endian(Bytes block, std::size_t offset, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | block[offset + i];
  return value;
}

std::uint64_t big_endian(Bytes block, std::size_t offset, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | block[offset + i];
  return value;
}

/// Up to the first zero byte.
std::string text(Bytes block, std::size_t offset, std::size_t size) {
  const Bytes field = block.subspan(offset, size);
  return {field.begin(), std::ranges::find(field, '\0')};
}

/// 16 bytes as 8-4-4-4-12 digits.
std::string uuid_text(Bytes block, std::size_t offset) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += kDigits[block[offset + i] >> 4];
    out += kDigits[block[offset + i] & 0xf];
  }
  return out;
}

bool possible(const Superblock& found) {
  return found.blocks > 0 && found.blocks <= INT64_MAX / found.block_bytes;
}

/// struct ext4_super_block of fs/ext4/ext4.h, at byte 1024.
std::optional<Superblock> parse_ext4(Bytes block) {
  constexpr std::uint16_t kMagic = 0xEF53, kValid = 1, kErrors = 2;
  constexpr std::uint32_t kRecover = 0x4, kJournalDevice = 0x8, k64Bit = 0x80;
  constexpr std::uint32_t kOrphanPresent = 0x10000;
  constexpr std::uint64_t kMaxLogBlock = 6;  // 64 KiB

  if (little_endian(block, 56, 2) != kMagic) return std::nullopt;
  const std::uint64_t log_block = little_endian(block, 24, 4);
  if (log_block > kMaxLogBlock) return std::nullopt;
  const std::uint64_t state = little_endian(block, 58, 2);
  const std::uint64_t incompatible = little_endian(block, 96, 4);
  const std::uint64_t read_only_compatible = little_endian(block, 100, 4);

  Superblock found;
  found.file_system = FileSystem::ext4;
  found.block_bytes = 1024u << log_block;
  found.blocks = little_endian(block, 4, 4);
  if ((incompatible & k64Bit) != 0) found.blocks |= little_endian(block, 0x150, 4) << 32;
  found.label = text(block, 120, 16);
  found.uuid = uuid_text(block, 104);
  found.clean = (state & (kValid | kErrors)) == kValid && (incompatible & kRecover) == 0 &&
                (read_only_compatible & kOrphanPresent) == 0;
  found.mount_options = text(block, 0x200, 64);
  found.external_journal =
      (incompatible & kJournalDevice) != 0 || little_endian(block, 228, 4) != 0;
  if (!possible(found)) return std::nullopt;
  return found;
}

/// struct xfs_dsb of fs/xfs/libxfs/xfs_format.h, at byte 0.
std::optional<Superblock> parse_xfs(Bytes block) {
  constexpr std::uint64_t kMagic = 0x58465342;  // "XFSB"
  constexpr std::uint64_t kLeastBlock = 512, kMostBlock = 65536;

  if (big_endian(block, 0, 4) != kMagic) return std::nullopt;
  const std::uint64_t block_bytes = big_endian(block, 4, 4);
  if (block_bytes < kLeastBlock || block_bytes > kMostBlock ||
      (block_bytes & (block_bytes - 1)) != 0)
    return std::nullopt;
  Superblock found;
  found.file_system = FileSystem::xfs;
  found.block_bytes = static_cast<std::uint32_t>(block_bytes);
  found.blocks = big_endian(block, 8, 8);
  found.uuid = uuid_text(block, 32);
  found.label = text(block, 108, 12);
  found.inode_percent = block[127];
  if (!possible(found)) return std::nullopt;
  return found;
}

}  // namespace

std::optional<Superblock> parse_superblock(Bytes head) {
  constexpr std::size_t kExt4At = 1024, kExt4Bytes = 1024, kXfsBytes = 512;
  if (head.size() >= kXfsBytes)
    if (auto found = parse_xfs(head.first(kXfsBytes))) return found;
  if (head.size() >= kExt4At + kExt4Bytes) return parse_ext4(head.subspan(kExt4At, kExt4Bytes));
  return std::nullopt;
}

Result<Superblock> read_superblock(int image) {
  std::array<unsigned char, kSuperblockBytes> head{};
  std::size_t filled = 0;
  while (filled < head.size()) {
    const ssize_t n =
        ::pread(image, head.data() + filled, head.size() - filled, static_cast<off_t>(filled));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read the superblock");
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  auto found = parse_superblock(Bytes(head).first(filled));
  if (!found) return fail(Errc::FileError, "there is neither an ext4 nor an xfs file system in it");
  return *std::move(found);
}

Result<> check_superblock(const Superblock& found, FileSystem wanted) {
  if (found.file_system != wanted)
    return fail(Errc::FileError, "it holds " + std::string(file_system_name(found.file_system)) +
                                     ", not " + std::string(file_system_name(wanted)));
  if (found.external_journal || !found.mount_options.empty())
    return fail(Error(Errc::FileError, "its superblock names a journal elsewhere or mount options")
                    .hint("no image that nexcage has made does; tune2fs -l shows them"));
  return {};
}

}  // namespace nexcage::storage::raw
