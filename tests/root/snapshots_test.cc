// Snapshots where there is no ZFS: one suite over btrfs subvolumes and over raw images on xfs and
// btrfs.
#include "nexcage/storage/snapshots/snapshots.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "loop_fs.h"
#include "nexcage/storage/raw/image.h"
#include "nexcage/sys/btrfs.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::storage {
namespace {

using nexcage::testing::LoopFs;
using nexcage::testing::MountedAt;
using nexcage::testing::read_text;
using nexcage::testing::write_text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct Way {
  const char* name;
  const char* host;  // the file system that the storage lies on
  bool image;
};

class SnapshotsTest : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    NX_NEEDS_FS(GetParam().host);
    if (GetParam().image) NX_NEEDS_FS("ext4");
    host_ = std::make_unique<LoopFs>(GetParam().host);
    ASSERT_OK(sys::mkdirs(at("web1"), 0755));
    if (GetParam().image) {
      raw::ImageSpec spec;
      spec.bytes = 64 * kMiB;
      ASSERT_OK(raw::make_image(storage(), spec, ""));
    } else {
      const auto parent = sys::open_at(AT_FDCWD, at("web1"), O_PATH | O_DIRECTORY);
      ASSERT_OK(parent);
      ASSERT_OK(sys::create_subvolume(parent->get(), "root"));
    }
    open();
  }
  void open(const std::optional<std::string>& mounted = std::nullopt) {
    auto opened = GetParam().image ? open_image_snapshots(storage(), at("web1/snapshots"), mounted)
                                   : open_subvolume_snapshots(storage(), at("web1/snapshots"));
    ASSERT_OK(opened);
    snapshots_ = *std::move(opened);
  }
  std::string at(const std::string& name) const { return *host_ / name; }
  std::string storage() const { return at(GetParam().image ? "web1/web1.raw" : "web1/root"); }

  /// The one file of the container.
  void put(const std::string& text) const {
    if (!GetParam().image) return write_text(storage() + "/f", text);
    const auto mount = raw::mount_image(storage(), raw::FileSystem::ext4, 0);
    ASSERT_OK(mount);
    write_text(MountedAt(*mount, at("mnt")) / "f", text);
  }
  std::string get() const {
    if (!GetParam().image) return read_text(storage() + "/f");
    const auto mount = raw::mount_image(storage(), raw::FileSystem::ext4, MOUNT_ATTR_RDONLY);
    EXPECT_OK(mount);
    return mount ? read_text(MountedAt(*mount, at("mnt")) / "f") : "";
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    const auto list = snapshots_->list();
    EXPECT_OK(list);
    for (const SnapshotInfo& info : *list) out.push_back(info.name);
    return out;
  }
  /// Names beside the storage that are not to be there.
  std::vector<std::string> leftovers() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(at("web1")))
      if (entry.path() != storage() && entry.path().filename() != "snapshots")
        out.push_back(entry.path());
    return out;
  }
  /// A process that rolls back and is killed at this point.
  void kill_rollback_at(const char* point) const {
    const pid_t pid = ::fork();
    if (pid == 0) {
      (void)::setenv("NEXCAGE_TESTPOINT", point, 1);
      (void)snapshots_->rollback("one");
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, WUNTRACED), pid);
    ASSERT_TRUE(WIFSTOPPED(status)) << "it never came to " << point;
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  }

  std::unique_ptr<LoopFs> host_;
  std::unique_ptr<Snapshots> snapshots_;
};

TEST_P(SnapshotsTest, there_are_none_at_first) {
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_FALSE(*sys::exists(AT_FDCWD, at("web1/snapshots"))) << "looking makes nothing";
}

TEST_P(SnapshotsTest, they_are_listed_oldest_first) {
  const auto before = static_cast<std::uint64_t>(::time(nullptr));
  for (const char* name : {"zebra", "Monkey", "ape", "9"}) ASSERT_OK(snapshots_->create(name));
  EXPECT_THAT(names(), ElementsAre("zebra", "Monkey", "ape", "9"));
  const auto list = snapshots_->list();
  ASSERT_OK(list);
  for (const SnapshotInfo& info : *list) {
    EXPECT_GE(info.created + 1, before) << info.name;
    EXPECT_LE(info.created, before + 60) << info.name;
  }
  EXPECT_THAT(beyond(*list, 1), ElementsAre("zebra", "Monkey", "ape"));
}

TEST_P(SnapshotsTest, a_name_is_taken_once) {
  put("first");
  ASSERT_OK(snapshots_->create("one"));
  put("second");
  EXPECT_ERROR(snapshots_->create("one"), Errc::InvalidState, HasSubstr("exists already"));
  ASSERT_OK(snapshots_->rollback("one"));
  EXPECT_EQ(get(), "first");
}

TEST_P(SnapshotsTest, a_rollback_brings_back_what_was) {
  put("first");
  ASSERT_OK(snapshots_->create("one"));
  put("second");
  ASSERT_OK(snapshots_->create("two"));
  put("third");
  ASSERT_OK(snapshots_->rollback("one"));
  EXPECT_EQ(get(), "first");
  put("changed after the rollback");
  ASSERT_OK(snapshots_->rollback("two"));
  EXPECT_EQ(get(), "second");
  ASSERT_OK(snapshots_->rollback("one"));
  EXPECT_EQ(get(), "first");
  EXPECT_THAT(names(), ElementsAre("one", "two"));
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_P(SnapshotsTest, what_is_removed_is_gone_and_the_rest_stays) {
  put("first");
  ASSERT_OK(snapshots_->create("one"));
  ASSERT_OK(snapshots_->create("two"));
  ASSERT_OK(snapshots_->remove("one"));
  EXPECT_THAT(names(), ElementsAre("two"));
  EXPECT_ERROR(snapshots_->rollback("one"), Errc::InvalidState, HasSubstr("no snapshot \"one\""));
  EXPECT_ERROR(snapshots_->remove("one"), Errc::InvalidState, HasSubstr("no snapshot \"one\""));
  EXPECT_OK(snapshots_->rollback("two"));
  EXPECT_EQ(get(), "first");
}

TEST_P(SnapshotsTest, missing_and_bad_names_are_refused) {
  EXPECT_ERROR(snapshots_->rollback("one"), Errc::InvalidState, HasSubstr("no snapshot"));
  EXPECT_ERROR(snapshots_->remove("one"), Errc::InvalidState, HasSubstr("no snapshot"));
  for (const char* name : {"../one", "", ".lock"}) {
    EXPECT_ERROR(snapshots_->create(name), Errc::InvalidSpec, HasSubstr("snapshot name"));
    EXPECT_ERROR(snapshots_->rollback(name), Errc::InvalidSpec, HasSubstr("snapshot name"));
    EXPECT_ERROR(snapshots_->remove(name), Errc::InvalidSpec, HasSubstr("snapshot name"));
  }
}

TEST_P(SnapshotsTest, a_rollback_killed_before_the_exchange_has_changed_nothing) {
#ifndef NEXCAGE_TESTPOINTS
  GTEST_SKIP() << "needs a build with test points";
#endif
  put("first");
  ASSERT_OK(snapshots_->create("one"));
  put("second");
  ASSERT_NO_FATAL_FAILURE(kill_rollback_at("rollback-before-exchange"));
  EXPECT_EQ(get(), "second");
  EXPECT_THAT(leftovers(), ::testing::SizeIs(1));
  ASSERT_OK(snapshots_->create("two"));
  EXPECT_THAT(leftovers(), IsEmpty()) << "the next change takes it away";
  EXPECT_OK(snapshots_->rollback("one"));
  EXPECT_EQ(get(), "first");
}

TEST_P(SnapshotsTest, a_rollback_killed_after_the_exchange_is_done) {
#ifndef NEXCAGE_TESTPOINTS
  GTEST_SKIP() << "needs a build with test points";
#endif
  put("first");
  ASSERT_OK(snapshots_->create("one"));
  put("second");
  ASSERT_NO_FATAL_FAILURE(kill_rollback_at("rollback-after-exchange"));
  EXPECT_EQ(get(), "first");
  EXPECT_OK(snapshots_->rollback("one"));
  EXPECT_EQ(get(), "first");
  EXPECT_THAT(leftovers(), IsEmpty());
}

std::string name_of_way(const ::testing::TestParamInfo<Way>& parameter) {
  return parameter.param.name;
}

INSTANTIATE_TEST_SUITE_P(Ways, SnapshotsTest,
                         ::testing::Values(Way{"Subvolume", "btrfs", false},
                                           Way{"ImageOnXfs", "xfs", true},
                                           Way{"ImageOnBtrfs", "btrfs", true}),
                         name_of_way);

/// What only images have.
class ImageSnapshotsTest : public SnapshotsTest {};

TEST_P(ImageSnapshotsTest, a_clock_that_was_set_back_changes_no_order) {
  ASSERT_OK(snapshots_->create("zebra"));
  const timespec tomorrow{.tv_sec = ::time(nullptr) + 86'400, .tv_nsec = 999'999'999};
  const std::array<timespec, 2> times{tomorrow, tomorrow};
  ASSERT_EQ(::utimensat(AT_FDCWD, at("web1/snapshots/zebra.raw").c_str(), times.data(), 0), 0);
  ASSERT_OK(snapshots_->create("ape"));
  ASSERT_OK(snapshots_->create("Monkey"));
  EXPECT_THAT(names(), ElementsAre("zebra", "ape", "Monkey"));
  const auto list = snapshots_->list();
  ASSERT_OK(list);
  EXPECT_EQ(list->back().created, static_cast<std::uint64_t>(tomorrow.tv_sec) + 1);
}

TEST_P(ImageSnapshotsTest, of_a_mounted_image_is_consistent) {
  const auto mount = raw::mount_image(storage(), raw::FileSystem::ext4, 0);
  ASSERT_OK(mount);
  const auto mounted = std::make_unique<MountedAt>(*mount, at("mnt"));
  EXPECT_ERROR(snapshots_->create("one"), Errc::InvalidState, HasSubstr("in use"));
  open(mounted->path());
  write_text(*mounted / "f", "not written back by anybody");
  ASSERT_OK(snapshots_->create("one"));
  write_text(*mounted / "f", "later");
  EXPECT_ERROR(snapshots_->rollback("one"), Errc::InvalidState, HasSubstr("in use"));
  const auto copy =
      raw::mount_image(at("web1/snapshots/one.raw"), raw::FileSystem::ext4, MOUNT_ATTR_RDONLY);
  ASSERT_OK(copy);
  EXPECT_EQ(read_text(MountedAt(*copy, at("copy")) / "f"), "not written back by anybody");
}

TEST_P(ImageSnapshotsTest, another_mount_is_not_frozen_in_its_place) {
  open(at("web1"));
  EXPECT_ERROR(snapshots_->create("one"), Errc::InvalidState, HasSubstr("what is mounted"));
  EXPECT_THAT(names(), IsEmpty());
}

TEST_P(ImageSnapshotsTest, tell_what_only_they_hold) {
  ASSERT_OK(snapshots_->create("one"));
  EXPECT_EQ(snapshots_->list()->at(0).bytes, 0U);
  put(std::string(4 * kMiB, 'x'));
  const auto list = snapshots_->list();
  ASSERT_TRUE(list->at(0).bytes);
  EXPECT_GT(*list->at(0).bytes, 0U) << "blocks of the image that were overwritten";
}

TEST_P(ImageSnapshotsTest, the_image_keeps_owner_and_mode) {
  ASSERT_OK(snapshots_->create("one"));
  ASSERT_EQ(::chmod(storage().c_str(), 0640), 0);
  ASSERT_EQ(::chown(storage().c_str(), 0, 77), 0);
  ASSERT_OK(snapshots_->rollback("one"));
  struct stat info{};
  ASSERT_EQ(::stat(storage().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0640U);
  EXPECT_EQ(info.st_gid, 77U);
}

TEST_P(ImageSnapshotsTest, a_grown_image_becomes_what_it_was) {
  put("first");
  ASSERT_OK(snapshots_->create("one"));
  ASSERT_OK(raw::grow_image(storage(), raw::FileSystem::ext4, 128 * kMiB, std::nullopt));
  ASSERT_OK(snapshots_->rollback("one"));
  EXPECT_EQ(raw::inspect(storage())->bytes, 64 * kMiB);
  EXPECT_EQ(get(), "first");
}

INSTANTIATE_TEST_SUITE_P(Ways, ImageSnapshotsTest,
                         ::testing::Values(Way{"Xfs", "xfs", true}, Way{"Btrfs", "btrfs", true}),
                         name_of_way);

class ImageOnExt4 : public SnapshotsTest {};

TEST_P(ImageOnExt4, is_refused_never_copied) {
  EXPECT_ERROR(snapshots_->create("one"), Errc::Unsupported,
               HasSubstr("(ext4) cannot share blocks"));
  EXPECT_THAT(names(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Ways, ImageOnExt4, ::testing::Values(Way{"Ext4", "ext4", true}),
                         name_of_way);

class SubvolumeSnapshotsTest : public SnapshotsTest {};

TEST_P(SubvolumeSnapshotsTest, are_read_only) {
  ASSERT_OK(snapshots_->create("one"));
  EXPECT_EQ(::open(at("web1/snapshots/one/f").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_P(SubvolumeSnapshotsTest, nothing_is_left_out_without_a_word) {
  const auto root = sys::open_at(AT_FDCWD, storage(), O_PATH | O_DIRECTORY);
  ASSERT_OK(root);
  ASSERT_OK(sys::create_subvolume(root->get(), "inner"));
  EXPECT_ERROR(snapshots_->create("one"), Errc::Unsupported, HasSubstr("other subvolumes"));
}

TEST_P(SubvolumeSnapshotsTest, subvolumes_made_later_go_with_a_rollback) {
  put("first");
  ASSERT_OK(snapshots_->create("one"));
  const auto root = sys::open_at(AT_FDCWD, storage(), O_PATH | O_DIRECTORY);
  ASSERT_OK(root);
  ASSERT_OK(sys::create_subvolume(root->get(), "inner"));
  write_text(storage() + "/inner/f", "x");
  ASSERT_OK(snapshots_->rollback("one"));
  EXPECT_EQ(get(), "first");
  EXPECT_FALSE(*sys::exists(AT_FDCWD, storage() + "/inner"));
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_P(SubvolumeSnapshotsTest, an_ordinary_directory_has_none) {
  EXPECT_ERROR(open_subvolume_snapshots(at("web1"), at("snapshots")), Errc::Unsupported,
               HasSubstr("no subvolume"));
}

INSTANTIATE_TEST_SUITE_P(Ways, SubvolumeSnapshotsTest,
                         ::testing::Values(Way{"Subvolume", "btrfs", false}), name_of_way);

}  // namespace
}  // namespace nexcage::storage
