// Raw images in use: mounted once, checked after a crash, grown, frozen.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

#include "nexcage/storage/raw/image.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/loop.h"
#include "nexcage/sys/process.h"
#include "raw_image.h"
#include "result_matchers.h"

namespace nexcage::storage::raw {
namespace {

using nexcage::testing::MountedAt;
using nexcage::testing::read_text;
using nexcage::testing::run_ok;
using nexcage::testing::write_text;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

std::uint64_t size_of(const std::string& mounted) {
  struct statvfs info{};
  EXPECT_EQ(::statvfs(mounted.c_str(), &info), 0);
  return info.f_blocks * info.f_frsize;
}

class RawUse : public nexcage::testing::RawImageTest {
 protected:
  void SetUp() override {
    RawImageTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_OK(make_image(at("c.raw"), spec(), ""));
  }
  /// A copy of the image as a crash would leave it: mounted, its journal not written back.
  void crash_to(const std::string& copy) const {
    const auto mounted = mount("c.raw");
    ASSERT_TRUE(mounted);
    write_text(*mounted / "kept", "kept");
    const auto file = sys::open_at(AT_FDCWD, *mounted / "kept", O_RDONLY);
    ASSERT_OK(file);
    ASSERT_EQ(::fsync(file->get()), 0);
    std::filesystem::copy_file(at("c.raw"), at(copy));
    std::filesystem::permissions(at(copy), std::filesystem::perms{0600});
  }
};

TEST_P(RawUse, what_is_written_is_there_the_next_time) {
  {
    const auto mounted = mount("c.raw");
    ASSERT_TRUE(mounted);
    write_text(*mounted / "f", "content");
  }
  const auto again = mount("c.raw", MOUNT_ATTR_RDONLY);
  ASSERT_TRUE(again);
  EXPECT_EQ(read_text(*again / "f"), "content");
  EXPECT_EQ(::open((*again / "g").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_P(RawUse, an_image_is_not_mounted_twice) {
  const auto mounted = mount("c.raw");
  ASSERT_TRUE(mounted);
  EXPECT_ERROR(mount_image(at("c.raw"), GetParam(), 0), Errc::InvalidState, HasSubstr("in use"));
  EXPECT_ERROR(mount_image(at("c.raw"), GetParam(), MOUNT_ATTR_RDONLY), Errc::InvalidState,
               HasSubstr("in use"));
  EXPECT_ERROR(check_image(at("c.raw"), GetParam()), Errc::InvalidState, HasSubstr("in use"));
  EXPECT_ERROR(grow_image(at("c.raw"), GetParam(), 400 * kMiB, std::nullopt), Errc::InvalidState,
               HasSubstr("in use"));
}

TEST_P(RawUse, two_may_read_it_and_then_nobody_writes) {
  const auto one = mount("c.raw", MOUNT_ATTR_RDONLY);
  ASSERT_TRUE(one);
  const auto two = mount_image(at("c.raw"), GetParam(), MOUNT_ATTR_RDONLY);
  EXPECT_OK(two);
  EXPECT_ERROR(mount_image(at("c.raw"), GetParam(), 0), Errc::InvalidState, HasSubstr("in use"));
}

TEST_P(RawUse, the_loop_device_goes_with_the_mount) {
  std::string device;
  {
    const auto mounted = mount("c.raw");
    ASSERT_TRUE(mounted);
    const auto loop = sys::loop_of_mount(mounted->path());
    ASSERT_OK(loop);
    ASSERT_TRUE(*loop);
    EXPECT_EQ((*loop)->backing_file, at("c.raw"));
    device = (*loop)->device;
  }
  const std::string backing = "/sys/block/" + device.substr(5) + "/loop/backing_file";
  for (int i = 0; i < 100 && *sys::exists(AT_FDCWD, backing); ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_FALSE(*sys::exists(AT_FDCWD, backing)) << read_text(backing);
}

TEST_P(RawUse, a_crash_is_recovered_from) {
  ASSERT_NO_FATAL_FAILURE(crash_to("crashed.raw"));
  if (GetParam() == FileSystem::ext4) {
    EXPECT_FALSE(inspect(at("crashed.raw"))->clean);
  }
  EXPECT_OK(check_image(at("crashed.raw"), GetParam()));
  EXPECT_TRUE(inspect(at("crashed.raw"))->clean);
  const auto mounted = mount("crashed.raw");
  ASSERT_TRUE(mounted);
  EXPECT_EQ(read_text(*mounted / "kept"), "kept");
}

TEST_P(RawUse, a_read_only_mount_after_a_crash_works) {
  ASSERT_NO_FATAL_FAILURE(crash_to("crashed.raw"));
  const auto mounted = mount("crashed.raw", MOUNT_ATTR_RDONLY);
  ASSERT_TRUE(mounted);
  EXPECT_EQ(read_text(*mounted / "kept"), "kept");
}

TEST_P(RawUse, a_copy_of_an_image_is_mounted_beside_it) {
  std::filesystem::copy_file(at("c.raw"), at("copy.raw"));
  const auto one = mount("c.raw"), two = mount("copy.raw");
  EXPECT_TRUE(one && two);
}

TEST_P(RawUse, a_clean_image_needs_no_program) {
  Programs none;
  none.e2fsck = "no-e2fsck";
  EXPECT_OK(check_image(at("c.raw"), GetParam(), Check::quick, none));
  EXPECT_OK(check_image(at("c.raw"), GetParam(), Check::full));
}

TEST_P(RawUse, what_is_no_image_of_root_is_refused) {
  std::filesystem::create_symlink(at("c.raw"), at("link"));
  EXPECT_FALSE(mount_image(at("link"), GetParam(), 0));
  ASSERT_TRUE(std::filesystem::create_directory(at("dir")));
  EXPECT_ERROR(mount_image(at("dir"), GetParam(), 0), Errc::FileError, HasSubstr("regular file"));
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
  EXPECT_ERROR(mount_image(at("fifo"), GetParam(), 0), Errc::FileError, HasSubstr("regular file"));
  write_text(at("text"), "no file system");
  EXPECT_ERROR(mount_image(at("text"), GetParam(), 0), Errc::FileError, HasSubstr("neither"));
  const FileSystem other = GetParam() == FileSystem::ext4 ? FileSystem::xfs : FileSystem::ext4;
  EXPECT_ERROR(mount_image(at("c.raw"), other, 0), Errc::FileError,
               HasSubstr("it holds " + type()));
  ASSERT_EQ(::chmod(at("c.raw").c_str(), 0666), 0);
  EXPECT_ERROR(mount_image(at("c.raw"), GetParam(), 0), Errc::PermissionDenied,
               HasSubstr("others"));
  ASSERT_EQ(::chmod(at("c.raw").c_str(), 0600), 0);
  ASSERT_EQ(::chown(at("c.raw").c_str(), 1000, 0), 0);
  EXPECT_ERROR(inspect(at("c.raw")), Errc::PermissionDenied, HasSubstr("others"));
}

TEST_P(RawUse, grows_unmounted) {
  {
    const auto mounted = mount("c.raw");
    ASSERT_TRUE(mounted);
    write_text(*mounted / "f", "content");
  }
  ASSERT_OK(grow_image(at("c.raw"), GetParam(), 1024 * kMiB, std::nullopt));
  EXPECT_EQ(inspect(at("c.raw"))->bytes, 1024 * kMiB);
  EXPECT_EQ(inspect(at("c.raw"))->file_system_bytes, 1024 * kMiB);
  expect_sound("c.raw");
  const auto mounted = mount("c.raw");
  ASSERT_TRUE(mounted);
  EXPECT_GT(size_of(mounted->path()), 800 * kMiB);
  EXPECT_EQ(read_text(*mounted / "f"), "content");
}

TEST_P(RawUse, never_shrinks) {
  EXPECT_ERROR(grow_image(at("c.raw"), GetParam(), 310 * kMiB, std::nullopt), Errc::InvalidSpec,
               HasSubstr("can only grow"));
  const auto mounted = mount("c.raw");
  ASSERT_TRUE(mounted);
  EXPECT_ERROR(grow_image(at("c.raw"), GetParam(), 310 * kMiB, mounted->path()), Errc::InvalidSpec,
               HasSubstr("can only grow"));
  EXPECT_EQ(inspect(at("c.raw"))->bytes, 320 * kMiB);
}

TEST_P(RawUse, a_growth_that_was_killed_is_repeated) {
  // As a kill between the two steps leaves it.
  std::filesystem::resize_file(at("c.raw"), 1024 * kMiB);
  EXPECT_EQ(inspect(at("c.raw"))->file_system_bytes, 320 * kMiB);
  EXPECT_TRUE(mount("c.raw")) << "which does no harm";
  ASSERT_OK(grow_image(at("c.raw"), GetParam(), 1024 * kMiB, std::nullopt));
  EXPECT_EQ(inspect(at("c.raw"))->file_system_bytes, 1024 * kMiB);
  expect_sound("c.raw");
}

TEST_P(RawUse, grows_while_it_is_mounted) {
  {
    const auto mounted = mount("c.raw");
    ASSERT_TRUE(mounted);
    const auto grown = grow_image(at("c.raw"), GetParam(), 1024 * kMiB, mounted->path());
    if (!grown && grown.error().code() == Errc::PermissionDenied) {
      EXPECT_EQ(GetParam(), FileSystem::ext4);
      EXPECT_THAT(grown.error().hint(), HasSubstr("CAP_SYS_RESOURCE"));
      EXPECT_EQ(inspect(at("c.raw"))->bytes, 320 * kMiB) << "nothing was begun";
      GTEST_SKIP() << "needs the capability CAP_SYS_RESOURCE";
    }
    ASSERT_OK(grown);
    EXPECT_GT(size_of(mounted->path()), 800 * kMiB);
    write_text(*mounted / "f", "content");
  }
  EXPECT_EQ(inspect(at("c.raw"))->file_system_bytes, 1024 * kMiB);
  expect_sound("c.raw");
}

TEST_P(RawUse, another_image_is_not_grown_in_place_of_the_mounted_one) {
  ASSERT_OK(make_image(at("other.raw"), spec(), ""));
  const auto mounted = mount("other.raw");
  ASSERT_TRUE(mounted);
  EXPECT_ERROR(grow_image(at("c.raw"), GetParam(), 400 * kMiB, mounted->path()), Errc::InvalidState,
               HasSubstr("other.raw"));
  EXPECT_ERROR(grow_image(at("c.raw"), GetParam(), 400 * kMiB, scratch_->path()),
               Errc::InvalidState, HasSubstr("no image"));
  EXPECT_EQ(inspect(at("c.raw"))->bytes, 320 * kMiB);
}

/// A process that writes a file and ends.
sys::Child writer(const std::string& file) {
  sys::Command command;
  command.argv = {"sh", "-c", "echo x > \"$0\"", file};
  command.inherit_env = true;
  auto child = sys::Child::spawn(command);
  EXPECT_OK(child);
  return *std::move(child);
}

TEST_P(RawUse, nothing_is_written_while_it_is_frozen) {
  const auto mounted = mount("c.raw");
  ASSERT_TRUE(mounted);
  const auto top = sys::open_at(AT_FDCWD, mounted->path(), O_PATH | O_DIRECTORY);
  ASSERT_OK(top);
  auto frozen = Frozen::freeze(top->get());
  ASSERT_OK(frozen);
  EXPECT_ERROR(Frozen::freeze(top->get()), Errc::InvalidState, HasSubstr("freeze"));
  sys::Child child = writer(*mounted / "f");
  EXPECT_FALSE(*child.wait_for(milliseconds(300))) << "it must wait";
  EXPECT_OK(frozen->thaw());
  EXPECT_OK(frozen->thaw());  // twice does nothing
  EXPECT_EQ(*child.wait_for(milliseconds(10'000)), 0);
  {
    EXPECT_OK(Frozen::freeze(top->get()));
  }
  sys::Child after = writer(*mounted / "g");
  EXPECT_EQ(*after.wait_for(milliseconds(10'000)), 0) << "thawed at the end of its life";
}

TEST_P(RawUse, who_is_killed_leaves_nothing_frozen) {
  const auto mounted = mount("c.raw");
  ASSERT_TRUE(mounted);
  const auto top = sys::open_at(AT_FDCWD, mounted->path(), O_PATH | O_DIRECTORY);
  ASSERT_OK(top);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto frozen = Frozen::freeze(top->get());
    (void)::raise(frozen ? SIGSTOP : SIGKILL);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, WUNTRACED), pid);
  ASSERT_TRUE(WIFSTOPPED(status)) << "it was not frozen";
  sys::Child child = writer(*mounted / "f");
  EXPECT_FALSE(*child.wait_for(milliseconds(300)));
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(*child.wait_for(milliseconds(10'000)), 0);
}

NX_BOTH_FILE_SYSTEMS(RawUse);

/// Growing where the kernel does not do it.
class GrowWithoutCapability : public RawUse {
 protected:
  static void drop_sys_resource() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    if (::syscall(SYS_capget, &header, data) != 0) ::_exit(1);
    data[0].effective &= ~(1U << CAP_SYS_RESOURCE);
    if (::syscall(SYS_capset, &header, data) != 0) ::_exit(1);
  }
  /// In a process that has not the capability.
  template <class Body>
  pid_t in_child(const Body& body) const {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    drop_sys_resource();
    ::_exit(body() ? 0 : 1);
  }
};

TEST_P(GrowWithoutCapability, goes_by_the_program) {
  const pid_t pid = in_child(
      [&] { return grow_image(at("c.raw"), GetParam(), 1024 * kMiB, std::nullopt).has_value(); });
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(inspect(at("c.raw"))->file_system_bytes, 1024 * kMiB);
  expect_sound("c.raw");
}

TEST_P(GrowWithoutCapability, the_program_ends_its_work_when_we_are_killed) {
  write_text(at("slow"), "#!/bin/sh\n: >\"$0.begun\"\nsleep 1\nexec resize2fs \"$@\"\n");
  ASSERT_EQ(::chmod(at("slow").c_str(), 0755), 0);
  const pid_t pid = in_child([&] {
    Programs programs;
    programs.resize2fs = at("slow");
    return grow_image(at("c.raw"), GetParam(), 1024 * kMiB, std::nullopt, programs).has_value();
  });
  const auto wait_for = [](const auto& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(10));
    return condition();
  };
  EXPECT_TRUE(wait_for([&] { return *sys::exists(AT_FDCWD, at("slow.begun")); }));
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(wait_for([&] { return check_image(at("c.raw"), GetParam()).has_value(); }))
      << "it must be let go in the end";
  EXPECT_EQ(inspect(at("c.raw"))->file_system_bytes, 1024 * kMiB) << "and not before";
  expect_sound("c.raw");
}

INSTANTIATE_TEST_SUITE_P(Ext4, GrowWithoutCapability, ::testing::Values(FileSystem::ext4),
                         nexcage::testing::name_of_type);

/// What somebody who could write to the image, a virtual machine for one, has put into it.
class HostileImage : public RawUse {};

TEST_P(HostileImage, decides_nothing_about_the_host) {
  run_ok({"tune2fs", "-e", "panic", at("c.raw")});
  {
    const auto mounted = mount("c.raw");
    ASSERT_TRUE(mounted);
    bool found = false;
    const auto mounts = sys::read_mountinfo();
    ASSERT_OK(mounts);
    for (const sys::MountInfo& info : *mounts)
      if (info.mount_point == mounted->path()) {
        found = true;
        EXPECT_THAT(info.super_options, HasSubstr("errors=remount-ro"));
      }
    EXPECT_TRUE(found);
  }
  run_ok({"tune2fs", "-E", "mount_opts=errors=panic", at("c.raw")});
  EXPECT_ERROR(mount_image(at("c.raw"), GetParam(), 0), Errc::FileError,
               HasSubstr("mount options"));
}

TEST_P(HostileImage, what_only_a_person_can_repair_is_told) {
  // The table of inodes of the first group.
  run_ok(
      {"sh", "-c",
       "block=$(dumpe2fs \"$0\" 2>/dev/null | sed -n 's/.*Inode table at \\([0-9]*\\)-.*/\\1/p' | "
       "head -1); dd if=/dev/urandom of=\"$0\" bs=4096 seek=\"$block\" count=4 conv=notrunc "
       "status=none; debugfs -w -R 'set_super_value state 0' \"$0\"",
       at("c.raw")});
  const auto checked = check_image(at("c.raw"), GetParam());
  EXPECT_ERROR(checked, Errc::FileError, HasSubstr("e2fsck"));
  EXPECT_THAT(checked.error().hint(), HasSubstr("e2fsck -f"));
}

INSTANTIATE_TEST_SUITE_P(Ext4, HostileImage, ::testing::Values(FileSystem::ext4),
                         nexcage::testing::name_of_type);

}  // namespace
}  // namespace nexcage::storage::raw
