#include "nexcage/vm/boot/boot_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <optional>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::vm::boot {
namespace {

using ::testing::HasSubstr;

class BootDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* tool : {"mkfs.vfat", "mcopy", "syslinux"})
      if (!sys::find_system_program(tool)) GTEST_SKIP() << tool << " is not installed";
    auto dir = sys::TempDir::create(testing::TempDir(), "boot-disk");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
    what_.kernel.image = put("vmlinuz", std::string(3u << 20, 'k'));
    what_.kernel.initrd = put("initrd", "modules!");
    what_.init = put("init", "agent");
    put("keeper", "the keeper");
    what_.record = "the record";
  }
  std::string put(const std::string& name, std::string_view content) {
    const std::string path = dir_->path() + "/" + name;
    EXPECT_OK(sys::write_file_atomic(path, content, 0644, sys::Durable::no));
    return path;
  }
  std::string target(const std::string& name = "disk.raw") const {
    return dir_->path() + "/" + name;
  }
  /// A file of the disk's file system.
  std::string content(const std::string& disk, const std::string& name) {
    sys::Command command;
    command.argv = {"mcopy", "-n", "-i", disk + "@@1M", "::" + name, target("copy")};
    command.inherit_env = true;
    const auto output = sys::run(command, "", std::chrono::seconds(30));
    EXPECT_OK(output);
    EXPECT_TRUE(output && sys::exit_code(output->status) == 0) << name;
    auto text = sys::read_file(AT_FDCWD, target("copy"));
    EXPECT_OK(sys::remove_tree(target("copy")));
    return text.value_or("");
  }

  std::optional<sys::TempDir> dir_;
  BootDisk what_;
};

TEST_F(BootDiskTest, holds_loader_kernel_initramfs_and_record) {
  what_.parameters = {"net.ifnames=0"};
  ASSERT_OK(make_boot_disk(what_, target()));
  const auto disk = sys::read_file(AT_FDCWD, target());
  ASSERT_OK(disk);
  EXPECT_EQ(disk->size(), 6u << 20);
  EXPECT_EQ(disk->substr(510, 2), "\x55\xaa");
  EXPECT_EQ((*disk)[446], '\x80');
  EXPECT_EQ(disk->substr(454, 4), std::string("\0\x08\0\0", 4));
  EXPECT_EQ(disk->substr(458, 4), std::string("\0\x28\0\0", 4));
  struct stat info{};
  ASSERT_EQ(::stat(target().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(content(target(), "vmlinuz"), std::string(3u << 20, 'k'));
  const std::string initrd = content(target(), "initrd");
  EXPECT_TRUE(initrd.starts_with("modules!")) << initrd.size();
  EXPECT_THAT(initrd, HasSubstr("the record"));
  EXPECT_THAT(initrd, HasSubstr("the keeper"));
  EXPECT_THAT(content(target(), "syslinux.cfg"), HasSubstr("APPEND " + kernel_line(what_) + "\n"));
  EXPECT_THAT(kernel_line(what_), HasSubstr("console=ttyS0"));
  EXPECT_TRUE(kernel_line(what_).ends_with(" net.ifnames=0"));
  EXPECT_FALSE(content(target(), "ldlinux.sys").empty());
}

TEST_F(BootDiskTest, the_same_content_gives_the_same_bytes) {
  ASSERT_OK(make_boot_disk(what_, target("a")));
  // Times in FAT are even seconds.
  ::sleep(2);
  ASSERT_OK(make_boot_disk(what_, target("b")));
  EXPECT_TRUE(sys::read_file(AT_FDCWD, target("a")).value_or("a") ==
              sys::read_file(AT_FDCWD, target("b")).value_or("b"));
}

TEST_F(BootDiskTest, what_goes_wrong_leaves_no_file) {
  what_.init += "-that-is-not-there";
  EXPECT_FALSE(make_boot_disk(what_, target()));
  EXPECT_FALSE(sys::exists(AT_FDCWD, target()).value_or(true));
  what_.init = put("init", "agent");
  what_.kernel.image = dir_->path() + "/none";
  EXPECT_ERROR(make_boot_disk(what_, target()), Errc::RuntimeNotAvailable,
               HasSubstr("no kernel for boot loaders"));
  what_.kernel.image = put("vmlinuz", "kernel");
  what_.parameters = {"a\nb"};
  EXPECT_ERROR(make_boot_disk(what_, target()), Errc::InvalidConfig,
               HasSubstr("control characters"));
  EXPECT_FALSE(sys::exists(AT_FDCWD, target()).value_or(true));
}

TEST_F(BootDiskTest, a_tool_without_success_leaves_no_file) {
  // The boot loader's program is another, and fails when the disk is already there.
  const std::string tools = dir_->path() + "/tools";
  ASSERT_OK(sys::mkdirs(tools, 0755));
  ASSERT_OK(sys::write_file_atomic(tools + "/syslinux", "#!/bin/sh\necho no luck >&2\nexit 1\n",
                                   0755, sys::Durable::no));
  const std::string path = std::getenv("PATH");
  ASSERT_EQ(::setenv("PATH", (tools + ":" + path).c_str(), 1), 0);
  const auto made = make_boot_disk(what_, target());
  ASSERT_EQ(::setenv("PATH", path.c_str(), 1), 0);
  EXPECT_ERROR(made, Errc::RuntimeError, HasSubstr("no luck"));
  EXPECT_FALSE(sys::exists(AT_FDCWD, target()).value_or(true));
}

TEST_F(BootDiskTest, a_file_that_is_there_stays) {
  put("disk.raw", "mine");
  EXPECT_ERROR(make_boot_disk(what_, target()), Errc::FileError, HasSubstr("boot disk"));
  EXPECT_EQ(sys::read_file(AT_FDCWD, target()).value_or(""), "mine");
}

}  // namespace
}  // namespace nexcage::vm::boot
