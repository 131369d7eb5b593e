// Subvolumes and shared blocks on a real btrfs, and trees with subvolumes in them removed.
#include "nexcage/sys/btrfs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "loop_fs.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/reflink.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using nexcage::testing::LoopFs;
using nexcage::testing::read_text;
using nexcage::testing::run_ok;
using nexcage::testing::write_text;
using ::testing::HasSubstr;

class Btrfs : public ::testing::Test {
 protected:
  void SetUp() override {
    NX_NEEDS_FS("btrfs");
    fs_ = std::make_unique<LoopFs>("btrfs");
    auto top = open_at(AT_FDCWD, fs_->path(), O_PATH | O_DIRECTORY);
    ASSERT_OK(top);
    top_ = *std::move(top);
  }
  UniqueFd open(const std::string& name) const {
    auto fd = open_at(top_.get(), name, O_PATH | O_DIRECTORY);
    EXPECT_OK(fd);
    return fd ? *std::move(fd) : UniqueFd();
  }
  bool there(const std::string& name) const { return *exists(top_.get(), name); }
  std::string at(const std::string& name) const { return *fs_ / name; }

  std::unique_ptr<LoopFs> fs_;
  UniqueFd top_;
};

TEST_F(Btrfs, a_subvolume_is_told_from_a_directory) {
  ASSERT_OK(create_subvolume(top_.get(), "sub"));
  ASSERT_OK(mkdirs(at("dir"), 0755));
  EXPECT_TRUE(*is_subvolume(open("sub").get()));
  EXPECT_FALSE(*is_subvolume(open("dir").get()));
  EXPECT_TRUE(*is_btrfs(open("dir").get()));
  const UniqueFd elsewhere = *open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY);
  EXPECT_FALSE(*is_btrfs(elsewhere.get()));
  EXPECT_FALSE(*is_subvolume(elsewhere.get()));
}

TEST_F(Btrfs, a_snapshot_keeps_what_was_and_can_be_read_only) {
  ASSERT_OK(create_subvolume(top_.get(), "sub"));
  write_text(at("sub/f"), "before");
  const UniqueFd sub = open("sub");
  ASSERT_OK(snapshot_subvolume(sub.get(), top_.get(), "ro", Access::read_only));
  ASSERT_OK(snapshot_subvolume(sub.get(), top_.get(), "rw", Access::read_write));
  write_text(at("sub/f"), "after");
  EXPECT_EQ(read_text(at("ro/f")), "before");
  write_text(at("rw/f"), "changed");
  EXPECT_EQ(read_text(at("rw/f")), "changed");
  EXPECT_EQ(::open(at("ro/f").c_str(), O_WRONLY | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(*subvolume_access(open("ro").get()), Access::read_only);
  EXPECT_EQ(*subvolume_access(open("rw").get()), Access::read_write);
}

TEST_F(Btrfs, errors_keep_the_errno) {
  ASSERT_OK(create_subvolume(top_.get(), "sub"));
  auto again = create_subvolume(top_.get(), "sub");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().sys_errno(), EEXIST);
  auto taken = snapshot_subvolume(open("sub").get(), top_.get(), "sub", Access::read_only);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().sys_errno(), EEXIST);
  EXPECT_ERROR(create_subvolume(top_.get(), "a/b"), Errc::FileError, HasSubstr("invalid argument"));
  EXPECT_ERROR(create_subvolume(top_.get(), ".."), Errc::FileError, HasSubstr("invalid argument"));
  EXPECT_ERROR(create_subvolume(top_.get(), std::string(5000, 'x')), Errc::FileError,
               HasSubstr("too long"));
  const UniqueFd elsewhere = *open_at(AT_FDCWD, "/tmp", O_PATH | O_DIRECTORY);
  auto across = snapshot_subvolume(open("sub").get(), elsewhere.get(), "x", Access::read_only);
  EXPECT_FALSE(across);
}

TEST_F(Btrfs, subvolumes_go_at_once_read_only_ones_too) {
  ASSERT_OK(create_subvolume(top_.get(), "sub"));
  write_text(at("sub/f"), "x");
  ASSERT_OK(snapshot_subvolume(open("sub").get(), top_.get(), "ro", Access::read_only));
  EXPECT_OK(delete_subvolume(top_.get(), "ro"));
  EXPECT_OK(delete_subvolume(top_.get(), "sub"));
  EXPECT_FALSE(there("ro"));
  EXPECT_FALSE(there("sub"));
  EXPECT_OK(delete_subvolume(top_.get(), "sub"));  // missing is success
}

TEST_F(Btrfs, subvolumes_in_a_subvolume_are_seen) {
  ASSERT_OK(create_subvolume(top_.get(), "sub"));
  EXPECT_FALSE(*has_subvolumes(open("sub").get()));
  ASSERT_OK(mkdirs(at("sub/d"), 0755));
  ASSERT_OK(create_subvolume(open("sub/d").get(), "inner"));
  EXPECT_TRUE(*has_subvolumes(open("sub").get()));
  auto kept = delete_subvolume(top_.get(), "sub");
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().sys_errno(), ENOTEMPTY);
}

TEST_F(Btrfs, the_time_of_creation_is_kept) {
  const auto before = static_cast<std::uint64_t>(::time(nullptr));
  ASSERT_OK(create_subvolume(top_.get(), "a"));
  ASSERT_OK(snapshot_subvolume(open("a").get(), top_.get(), "b", Access::read_only));
  const auto a = subvolume_info(open("a").get());
  const auto b = subvolume_info(open("b").get());
  ASSERT_OK(a);
  ASSERT_OK(b);
  EXPECT_GE(a->created + 1, before);
  EXPECT_LE(a->created, before + 60);
  EXPECT_GE(b->created, a->created);
  EXPECT_GT(b->id, a->id);
}

TEST_F(Btrfs, a_tree_with_subvolumes_of_every_kind_is_removed) {
  ASSERT_OK(mkdirs(at("tree/dir"), 0755));
  ASSERT_OK(create_subvolume(open("tree/dir").get(), "sub"));
  ASSERT_OK(mkdirs(at("tree/dir/sub/deep/er"), 0755));
  write_text(at("tree/dir/sub/deep/er/f"), "x");
  ASSERT_OK(create_subvolume(open("tree/dir/sub/deep").get(), "inner"));
  write_text(at("tree/dir/sub/deep/inner/f"), "x");
  // A snapshot has an empty directory that cannot be used in place of "inner".
  const UniqueFd sub = open("tree/dir/sub");
  ASSERT_OK(snapshot_subvolume(sub.get(), open("tree").get(), "ro", Access::read_only));
  ASSERT_OK(snapshot_subvolume(sub.get(), open("tree").get(), "rw", Access::read_write));
  ASSERT_OK(create_subvolume(open("tree").get(), "empty"));
  ASSERT_OK(create_subvolume(open("tree").get(), "ro with one in it"));
  ASSERT_OK(create_subvolume(open("tree/ro with one in it").get(), "inner"));
  ASSERT_OK(set_subvolume_access(open("tree/ro with one in it").get(), Access::read_only));
  EXPECT_OK(remove_tree(top_.get(), "tree"));
  EXPECT_FALSE(there("tree"));
  EXPECT_THAT(run_ok({"btrfs", "subvolume", "list", fs_->path()}), "") << "none is left";
}

TEST_F(Btrfs, a_read_only_snapshot_itself_is_removed) {
  ASSERT_OK(create_subvolume(top_.get(), "sub"));
  write_text(at("sub/f"), "x");
  ASSERT_OK(snapshot_subvolume(open("sub").get(), top_.get(), "ro", Access::read_only));
  EXPECT_OK(remove_tree(at("ro")));
  EXPECT_FALSE(there("ro"));
  EXPECT_TRUE(there("sub/f"));
}

TEST_F(Btrfs, a_mount_in_a_subvolume_stops_the_removal) {
  ASSERT_OK(mkdirs(at("tree"), 0755));
  ASSERT_OK(create_subvolume(open("tree").get(), "sub"));
  ASSERT_OK(mkdirs(at("tree/sub/mnt"), 0755));
  auto mount = new_mount("tmpfs", {}, 0);
  ASSERT_OK(mount);
  ASSERT_OK(attach(*mount, at("tree/sub/mnt")));
  write_text(at("tree/sub/mnt/f"), "x");
  auto removed = remove_tree(at("tree"));
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().sys_errno(), EXDEV);
  EXPECT_EQ(read_text(at("tree/sub/mnt/f")), "x");
  EXPECT_OK(unmount(at("tree/sub/mnt")));
  EXPECT_OK(remove_tree(at("tree")));
}

TEST_F(Btrfs, a_clone_shares_its_blocks_until_it_is_written) {
  write_text(at("a"), std::string(1 << 20, 'a'));
  const UniqueFd a = *open_at(top_.get(), "a", O_RDONLY);
  const UniqueFd b = *open_at(top_.get(), "b", O_RDWR | O_CREAT, 0600);
  EXPECT_EQ(*unshared_bytes(a.get()), 1U << 20);
  ASSERT_OK(clone_file(a.get(), b.get()));
  EXPECT_EQ(read_text(at("b")), std::string(1 << 20, 'a'));
  EXPECT_EQ(*unshared_bytes(b.get()), 0U);
  EXPECT_EQ(*unshared_bytes(a.get()), 0U);
  ASSERT_EQ(::ftruncate(b.get(), 0), 0);
  EXPECT_EQ(*unshared_bytes(a.get()), 1U << 20);
}

TEST_F(Btrfs, blocks_are_not_shared_across_file_systems) {
  write_text(at("a"), "a");
  const UniqueFd a = *open_at(top_.get(), "a", O_RDONLY);
  const UniqueFd b = *open_at(AT_FDCWD, std::filesystem::current_path(), O_RDWR | O_TMPFILE, 0600);
  EXPECT_ERROR(clone_file(a.get(), b.get()), Errc::Unsupported, HasSubstr("file system"));
}

}  // namespace
}  // namespace nexcage::sys
