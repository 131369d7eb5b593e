// Loop devices that can be written to, that grow, and that are found below a mount.
#include "nexcage/sys/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "loop_fs.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using nexcage::testing::LoopFs;
using nexcage::testing::ScratchDir;
using ::testing::HasSubstr;

constexpr off_t kMiB = 1 << 20;

class Loop : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: loop devices";
    if (::access("/dev/loop-control", F_OK) != 0) GTEST_SKIP() << "the kernel has no loop devices";
    scratch_ = std::make_unique<ScratchDir>();
    auto file = open_at(AT_FDCWD, *scratch_ / "file", O_RDWR | O_CREAT | O_EXCL, 0600);
    ASSERT_OK(file);
    file_ = *std::move(file);
    ASSERT_EQ(::ftruncate(file_.get(), kMiB), 0);
  }
  static std::uint64_t size_of(int device) {
    std::uint64_t size = 0;
    EXPECT_EQ(::ioctl(device, BLKGETSIZE64, &size), 0);
    return size;
  }
  std::unique_ptr<ScratchDir> scratch_;
  UniqueFd file_;
};

TEST_F(Loop, what_is_written_to_a_device_is_in_the_file) {
  const auto loop = LoopDevice::attach(file_.get(), Access::read_write);
  ASSERT_OK(loop);
  ASSERT_EQ(::pwrite(loop->fd(), "text", 4, 512), 4);
  ASSERT_EQ(::fsync(loop->fd()), 0);
  char bytes[5] = {};
  ASSERT_EQ(::pread(file_.get(), bytes, 4, 512), 4);
  EXPECT_STREQ(bytes, "text");
}

TEST_F(Loop, a_read_only_one_cannot_be_written_to) {
  const auto loop = LoopDevice::attach(file_.get());
  ASSERT_OK(loop);
  EXPECT_EQ(::pwrite(loop->fd(), "text", 4, 0), -1);
  int read_only = 0;
  ASSERT_EQ(::ioctl(loop->fd(), BLKROGET, &read_only), 0);
  EXPECT_EQ(read_only, 1);
}

TEST_F(Loop, a_file_open_for_reading_gives_no_writable_device) {
  const auto reading = open_at(AT_FDCWD, *scratch_ / "file", O_RDONLY);
  ASSERT_OK(reading);
  EXPECT_ERROR(LoopDevice::attach(reading->get(), Access::read_write), Errc::FileError,
               HasSubstr("open for reading"));
}

TEST_F(Loop, a_device_sees_that_its_file_has_grown_when_it_is_told) {
  const auto loop = LoopDevice::attach(file_.get(), Access::read_write);
  ASSERT_OK(loop);
  ASSERT_EQ(::ftruncate(file_.get(), 3 * kMiB), 0);
  EXPECT_EQ(size_of(loop->fd()), kMiB);
  ASSERT_OK(grow_loop(loop->fd()));
  EXPECT_EQ(size_of(loop->fd()), 3 * kMiB);
}

TEST_F(Loop, a_lock_on_the_file_lasts_as_long_as_the_device) {
  ASSERT_EQ(::flock(file_.get(), LOCK_EX | LOCK_NB), 0);
  auto loop = std::make_optional(LoopDevice::attach(file_.get(), Access::read_write));
  ASSERT_OK(*loop);
  file_.reset();
  const auto again = open_at(AT_FDCWD, *scratch_ / "file", O_RDWR);
  ASSERT_OK(again);
  EXPECT_EQ(::flock(again->get(), LOCK_EX | LOCK_NB), -1);
  loop.reset();
  EXPECT_EQ(::flock(again->get(), LOCK_EX), 0);
}

TEST_F(Loop, the_device_below_a_mount_is_found) {
  NX_NEEDS_FS("ext4");
  const LoopFs fs("ext4");
  ASSERT_OK(mkdirs(fs / "a/b", 0755));
  const auto loop = loop_of_mount(fs / "a/b");
  ASSERT_OK(loop);
  ASSERT_TRUE(*loop);
  EXPECT_THAT((*loop)->device, HasSubstr("/dev/loop"));
  EXPECT_THAT((*loop)->backing_file, ::testing::EndsWith("/fs.img"));
  const auto file = stat_at(AT_FDCWD, (*loop)->backing_file);
  ASSERT_OK(file);
  EXPECT_EQ((*file)->st_ino, (*loop)->backing_inode);
  EXPECT_EQ((*file)->st_dev, (*loop)->backing_device);
}

TEST_F(Loop, other_mounts_have_none) {
  EXPECT_FALSE(loop_of_mount("/proc")->has_value());
  EXPECT_FALSE(loop_of_mount("/dev/shm")->has_value());
  EXPECT_FALSE(loop_of_mount("/nonexistent"));
}

}  // namespace
}  // namespace nexcage::sys
