#include "nexcage/runtime/guest_disk.h"

#include <gtest/gtest.h>

namespace nexcage::runtime {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

TEST(DiskSize, has_room_for_content_and_for_inodes) {
  EXPECT_EQ(disk_size(1, 0) % kMiB, 0U);
  EXPECT_GE(disk_size(100, 500 * kMiB), 550 * kMiB);
  EXPECT_LE(disk_size(100, 500 * kMiB), 620 * kMiB);
  // Many small files: as many inodes as mke2fs makes for so many bytes.
  EXPECT_GE(disk_size(100'000, 100'000 * 4096) / 16384, 100'000U);
}

}  // namespace
}  // namespace nexcage::runtime
