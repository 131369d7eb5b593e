// Mounts on a real kernel, in a mount namespace of the test's own.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class MountRootTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: mounts";
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      GTEST_SKIP() << "needs root: a mount namespace of its own: " << ::strerror(errno);
    auto made = TempDir::create("/tmp", "nexcage-mount-test");
    ASSERT_OK(made);
    dir_.emplace(*std::move(made));
    ASSERT_OK(mkdirs(path("a"), 0755));
    ASSERT_OK(mkdirs(path("b"), 0755));
  }
  void TearDown() override {
    if (!dir_) return;
    EXPECT_OK(unmount(path("a/sub")));
    EXPECT_OK(unmount(path("b")));
    EXPECT_OK(unmount(path("a")));
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }

  DetachedMount tmpfs(std::uint64_t attributes = 0) const {
    auto mount = new_mount("tmpfs", {{.key = "size", .value = "64k"}}, attributes);
    EXPECT_OK(mount);
    return *std::move(mount);
  }
  /// What mountinfo says about the mount at this path.
  std::optional<MountInfo> mounted(const std::string& name) const {
    auto mounts = read_mountinfo();
    EXPECT_OK(mounts);
    for (const MountInfo& mount : *mounts)
      if (mount.mount_point == path(name)) return mount;
    return std::nullopt;
  }
  std::optional<TempDir> dir_;
};

TEST_F(MountRootTest, a_detached_mount_is_seen_once_attached_and_gone_once_unmounted) {
  const DetachedMount mount = tmpfs(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  EXPECT_FALSE(mounted("a"));
  ASSERT_OK(attach(mount, path("a")));
  const auto seen = mounted("a");
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->fstype, "tmpfs");
  EXPECT_THAT(seen->options, AllOf(HasSubstr("nosuid"), HasSubstr("nodev")));
  EXPECT_THAT(seen->super_options, HasSubstr("size=64k"));
  EXPECT_OK(unmount(path("a")));
  EXPECT_FALSE(mounted("a"));
  EXPECT_OK(unmount(path("a")));
  EXPECT_OK(unmount(path("none")));
}

TEST_F(MountRootTest, the_target_is_what_the_descriptor_refers_to) {
  auto target = open_at(AT_FDCWD, path("a"), O_PATH | O_DIRECTORY);
  ASSERT_OK(target);
  ASSERT_EQ(::rename(path("a").c_str(), path("moved").c_str()), 0);
  ASSERT_EQ(::symlink("b", path("a").c_str()), 0);
  ASSERT_OK(attach(tmpfs(), target->get()));
  EXPECT_TRUE(mounted("moved"));
  EXPECT_FALSE(mounted("b"));
  EXPECT_OK(unmount(path("moved")));
}

TEST_F(MountRootTest, a_link_in_place_of_the_target_is_not_followed) {
  ASSERT_EQ(::symlink("b", path("link").c_str()), 0);
  EXPECT_FALSE(attach(tmpfs(), path("link")).has_value());
  EXPECT_FALSE(mounted("b"));
}

TEST_F(MountRootTest, the_kernels_own_words_are_in_the_error) {
  EXPECT_ERROR(new_mount("tmpfs", {{.key = "size", .value = "much"}}, 0), Errc::FileError,
               AllOf(HasSubstr("mount tmpfs: option \"size=much\""),
                     HasSubstr("Bad value for 'size'"), HasSubstr("invalid argument")));
  EXPECT_ERROR(new_mount("nosuchfs", {}, 0), Errc::Unsupported, HasSubstr("mount nosuchfs"));
  EXPECT_ERROR(new_mount("tmpfs", {{.key = "size", .value = std::string(300, '1')}}, 0),
               Errc::FileError, HasSubstr("option"));
}

TEST_F(MountRootTest, a_recursive_clone_takes_what_is_mounted_below) {
  ASSERT_OK(attach(tmpfs(), path("a")));
  ASSERT_OK(mkdirs(path("a/sub"), 0755));
  ASSERT_OK(attach(tmpfs(), path("a/sub")));
  ASSERT_OK(write_file_atomic(path("a/sub/f"), "x", 0644, Durable::no));
  for (const Recursive recursive : {Recursive::no, Recursive::yes}) {
    auto clone = clone_mount(AT_FDCWD, path("a"), recursive);
    ASSERT_OK(clone);
    ASSERT_OK(attach(*clone, path("b")));
    EXPECT_EQ(*exists(AT_FDCWD, path("b/sub/f")), recursive == Recursive::yes);
    EXPECT_OK(unmount(path("b")));
  }
}

TEST_F(MountRootTest, a_descriptor_alone_can_be_cloned) {
  ASSERT_OK(attach(tmpfs(), path("a")));
  auto dir = open_at(AT_FDCWD, path("a"), O_PATH | O_DIRECTORY);
  auto clone = clone_mount(dir->get(), "", Recursive::no);
  ASSERT_OK(clone);
  EXPECT_OK(attach(*clone, path("b")));
  EXPECT_ERROR(clone_mount(AT_FDCWD, path("none"), Recursive::no), Errc::FileError,
               HasSubstr("clone the mount at"));
}

TEST_F(MountRootTest, attributes_change_on_the_mount_and_below) {
  ASSERT_OK(attach(tmpfs(MOUNT_ATTR_NOATIME), path("a")));
  ASSERT_OK(mkdirs(path("a/sub"), 0755));
  ASSERT_OK(attach(tmpfs(), path("a/sub")));
  auto clone = clone_mount(AT_FDCWD, path("a"), Recursive::yes);
  ASSERT_OK(clone);
  EXPECT_OK(set_attributes(clone->get(), MOUNT_ATTR_RDONLY, 0, 0, Recursive::yes));
  EXPECT_OK(set_attributes(clone->get(), MOUNT_ATTR_STRICTATIME, 0, MS_SHARED, Recursive::no));
  EXPECT_OK(set_attributes(clone->get(), 0, 0, 0, Recursive::yes));
  ASSERT_OK(attach(*clone, path("b")));
  EXPECT_THAT(mounted("b")->options,
              AllOf(testing::StartsWith("ro"), testing::Not(HasSubstr("noatime"))));
  EXPECT_THAT(mounted("b/sub")->options, testing::StartsWith("ro"));
  EXPECT_THAT(mounted("a")->options, testing::StartsWith("rw"));
  EXPECT_ERROR(set_attributes(clone->get(), 1ull << 60, 0, 0, Recursive::no), Errc::FileError,
               HasSubstr("attributes"));
}

TEST_F(MountRootTest, removing_a_tree_does_not_enter_a_mount) {
  ASSERT_OK(mkdirs(path("tree/mounted"), 0755));
  ASSERT_OK(attach(tmpfs(), path("tree/mounted")));
  ASSERT_OK(write_file_atomic(path("tree/mounted/precious"), "x", 0644, Durable::no));
  EXPECT_ERROR(remove_tree(path("tree")), Errc::FileError, HasSubstr("cross-device link"));
  EXPECT_TRUE(*exists(AT_FDCWD, path("tree/mounted/precious")));
  // A bind mount of the same file system is a mount like any other.
  ASSERT_OK(unmount(path("tree/mounted")));
  ASSERT_OK(write_file_atomic(path("a/precious"), "x", 0644, Durable::no));
  auto clone = clone_mount(AT_FDCWD, path("a"), Recursive::no);
  ASSERT_OK(clone);
  ASSERT_OK(attach(*clone, path("tree/mounted")));
  EXPECT_ERROR(remove_tree(path("tree")), Errc::FileError, HasSubstr("cross-device link"));
  EXPECT_TRUE(*exists(AT_FDCWD, path("a/precious")));
  EXPECT_OK(unmount(path("tree/mounted")));
  EXPECT_OK(remove_tree(path("tree")));
}

TEST_F(MountRootTest, reopening_needs_a_genuine_proc) {
  auto handle = open_at(AT_FDCWD, path("a"), O_PATH | O_DIRECTORY);
  ASSERT_OK(handle);
  ASSERT_OK(attach(tmpfs(), "/proc"));
  ASSERT_OK(mkdirs("/proc/self/fd", 0755));
  auto again = reopen(handle->get(), O_RDONLY);
  ASSERT_EQ(::umount2("/proc", MNT_DETACH), 0);
  EXPECT_ERROR(again, Errc::FileError, HasSubstr("/proc is not a proc file system"));
}

}  // namespace
}  // namespace nexcage::sys
