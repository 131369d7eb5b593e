#include "nexcage/storage/raw/superblock.h"

#include <array>
#include <cstring>

#include "result_matchers.h"

namespace nexcage::storage::raw {
namespace {

using testing::HasSubstr;

using Head = std::array<unsigned char, kSuperblockBytes>;

void put(Head& head, std::size_t offset, std::string_view bytes) {
  std::memcpy(head.data() + offset, bytes.data(), bytes.size());
}
void put_little(Head& head, std::size_t offset, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    head[offset + i] = static_cast<unsigned char>(value >> (8 * i));
}
void put_big(Head& head, std::size_t offset, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    head[offset + size - 1 - i] = static_cast<unsigned char>(value >> (8 * i));
}

constexpr std::size_t kExt4 = 1024;

Head ext4() {
  Head head{};
  put_little(head, kExt4 + 56, 0xEF53, 2);
  put_little(head, kExt4 + 4, 1000, 4);
  put_little(head, kExt4 + 24, 2, 4);
  put_little(head, kExt4 + 58, 1, 2);
  put(head, kExt4 + 104, "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef");
  put(head, kExt4 + 120, "sixteen bytes ..");
  return head;
}

Head xfs() {
  Head head{};
  put(head, 0, "XFSB");
  put_big(head, 4, 4096, 4);
  put_big(head, 8, 1000, 8);
  put(head, 108, "web1");
  head[127] = 25;
  return head;
}

TEST(RawSuperblock, reads_ext4) {
  const auto found = parse_superblock(ext4());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->file_system, FileSystem::ext4);
  EXPECT_EQ(found->bytes(), 4'096'000U);
  EXPECT_EQ(found->uuid, "01234567-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(found->label, "sixteen bytes ..");
  EXPECT_TRUE(found->clean);
  EXPECT_FALSE(found->external_journal);
  EXPECT_EQ(found->mount_options, "");
}

TEST(RawSuperblock, the_upper_half_of_the_size_counts_with_64_bits_only) {
  Head head = ext4();
  put_little(head, kExt4 + 0x150, 1, 4);
  EXPECT_EQ(parse_superblock(head)->blocks, 1000U);
  put_little(head, kExt4 + 96, 0x80, 4);
  EXPECT_EQ(parse_superblock(head)->blocks, (std::uint64_t{1} << 32) + 1000);
}

TEST(RawSuperblock, ext4_tells_when_it_needs_a_check) {
  const auto clean_with = [](std::size_t offset, std::uint64_t value, std::size_t size) {
    Head head = ext4();
    put_little(head, kExt4 + offset, value, size);
    return parse_superblock(head)->clean;
  };
  EXPECT_TRUE(clean_with(58, 1, 2));
  EXPECT_FALSE(clean_with(58, 0, 2)) << "mounted without a journal";
  EXPECT_FALSE(clean_with(58, 3, 2)) << "errors were seen";
  EXPECT_FALSE(clean_with(96, 0x4, 4)) << "the journal has to be written back";
  EXPECT_FALSE(clean_with(100, 0x10000, 4)) << "orphans";
}

TEST(RawSuperblock, reads_xfs) {
  const auto found = parse_superblock(xfs());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->file_system, FileSystem::xfs);
  EXPECT_EQ(found->bytes(), 4'096'000U);
  EXPECT_EQ(found->label, "web1");
  EXPECT_EQ(found->inode_percent, 25);
}

TEST(RawSuperblock, nothing_is_read_beyond_the_end) {
  const Head e = ext4(), x = xfs();
  for (std::size_t size = 0; size < 2048; ++size)
    EXPECT_FALSE(parse_superblock(std::span(e).first(size))) << size;
  for (std::size_t size = 0; size < 512; ++size)
    EXPECT_FALSE(parse_superblock(std::span(x).first(size))) << size;
}

TEST(RawSuperblock, what_cannot_be_is_none) {
  EXPECT_FALSE(parse_superblock(Head{}));
  const auto ext4_with = [](std::size_t offset, std::uint64_t value, std::size_t size) {
    Head head = ext4();
    put_little(head, kExt4 + offset, value, size);
    return parse_superblock(head).has_value();
  };
  EXPECT_FALSE(ext4_with(24, 7, 4)) << "block size";
  EXPECT_FALSE(ext4_with(24, UINT32_MAX, 4)) << "block size";
  EXPECT_FALSE(ext4_with(4, 0, 4)) << "no blocks";
  const auto xfs_with = [](std::size_t offset, std::uint64_t value, std::size_t size) {
    Head head = xfs();
    put_big(head, offset, value, size);
    return parse_superblock(head).has_value();
  };
  EXPECT_FALSE(xfs_with(4, 0, 4)) << "block size";
  EXPECT_FALSE(xfs_with(4, 4095, 4)) << "block size";
  EXPECT_FALSE(xfs_with(4, 1 << 20, 4)) << "block size";
  EXPECT_FALSE(xfs_with(8, UINT64_MAX, 8)) << "a size that overflows";
}

TEST(RawSuperblock, an_image_does_not_decide_about_the_host) {
  Head head = ext4();
  EXPECT_OK(check_superblock(*parse_superblock(head), FileSystem::ext4));
  EXPECT_ERROR(check_superblock(*parse_superblock(head), FileSystem::xfs), Errc::FileError,
               HasSubstr("it holds ext4, not xfs"));
  put(head, kExt4 + 0x200, "errors=panic");
  EXPECT_ERROR(check_superblock(*parse_superblock(head), FileSystem::ext4), Errc::FileError,
               HasSubstr("mount options"));
  head = ext4();
  put_little(head, kExt4 + 228, 0x0801, 4);
  EXPECT_ERROR(check_superblock(*parse_superblock(head), FileSystem::ext4), Errc::FileError,
               HasSubstr("journal elsewhere"));
}

}  // namespace
}  // namespace nexcage::storage::raw
