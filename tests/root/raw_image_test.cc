// Raw images made from trees: what they keep, compared; and what is refused.
#include "raw_image.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "nexcage/storage/raw/image.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "sample_tree.h"
#include "scratch.h"
#include "tree_compare.h"

namespace nexcage::storage::raw {
namespace {

using nexcage::testing::read_text;
using nexcage::testing::run_ok;
using nexcage::testing::SampleTree;
using nexcage::testing::write_text;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kUuid = "01234567-89ab-cdef-0123-456789abcdef";

class RawImage : public nexcage::testing::RawImageTest {
 protected:
  std::string sample() const {
    std::string root = at("tree");
    EXPECT_TRUE(std::filesystem::create_directory(root));
    const SampleTree tree(root);
    return root;
  }
  bool there(const std::string& name) const { return *sys::exists(AT_FDCWD, at(name)); }
};

TEST_P(RawImage, a_tree_is_kept_whole) {
  const std::string tree = sample();
  ASSERT_OK(make_image(at("c.raw"), spec(), tree));
  const auto mounted = mount("c.raw", MOUNT_ATTR_RDONLY);
  ASSERT_TRUE(mounted);
  EXPECT_EQ(nexcage::testing::compare_trees(nexcage::testing::read_tree(tree),
                                            nexcage::testing::read_tree(mounted->path())),
            "");
  struct stat info{};
  ASSERT_EQ(::stat((*mounted / "sparse").c_str(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, 1 << 20) << "holes stay holes";
}

TEST_P(RawImage, an_image_is_sparse_private_and_sound) {
  const std::string tree = sample();
  ASSERT_OK(make_image(at("c.raw"), spec(10'240 * kMiB), tree));
  struct stat info{};
  ASSERT_EQ(::stat(at("c.raw").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode, S_IFREG | 0600U);
  EXPECT_EQ(info.st_size, std::int64_t{10} << 30);
  EXPECT_LT(info.st_blocks * 512, 100 << 20);
  expect_sound("c.raw");
}

TEST_P(RawImage, a_file_above_four_gib_keeps_its_holes) {
  ASSERT_TRUE(std::filesystem::create_directory(at("tree")));
  write_text(at("tree/huge"), "start");
  const auto huge = sys::open_at(AT_FDCWD, at("tree/huge"), O_RDWR);
  ASSERT_OK(huge);
  constexpr off_t kEnd = (off_t{5} << 30) + 3;
  ASSERT_EQ(::pwrite(huge->get(), "end", 3, kEnd - 3), 3);
  ASSERT_OK(make_image(at("c.raw"), spec(), at("tree")));
  const auto mounted = mount("c.raw");
  ASSERT_TRUE(mounted);
  const auto copy = sys::open_at(AT_FDCWD, *mounted / "huge", O_RDONLY);
  ASSERT_OK(copy);
  EXPECT_EQ(sys::stat_fd(copy->get())->st_size, kEnd);
  EXPECT_LT(sys::stat_fd(copy->get())->st_blocks * 512, 1 << 20);
  char bytes[6] = {};
  ASSERT_EQ(::pread(copy->get(), bytes, 3, kEnd - 3), 3);
  EXPECT_STREQ(bytes, "end");
  ASSERT_EQ(::pread(copy->get(), bytes, 5, 0), 5);
  EXPECT_STREQ(bytes, "start");
}

TEST_P(RawImage, an_empty_image_is_empty_and_belongs_to_whom_it_should) {
  ImageSpec wanted = spec();
  wanted.root_uid = 100'000;
  wanted.root_gid = 100'001;
  ASSERT_OK(make_image(at("c.raw"), wanted, ""));
  const auto mounted = mount("c.raw");
  ASSERT_TRUE(mounted);
  EXPECT_TRUE(std::filesystem::is_empty(mounted->path()));
  struct stat info{};
  ASSERT_EQ(::stat(mounted->path().c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 100'000U);
  EXPECT_EQ(info.st_gid, 100'001U);
  EXPECT_EQ(info.st_mode & 07777U, 0755U);
}

TEST_P(RawImage, inspect_tells_what_was_made) {
  ImageSpec wanted = spec();
  wanted.label = "container-with-a-long-name";
  wanted.uuid = kUuid;
  ASSERT_OK(make_image(at("c.raw"), wanted, ""));
  const auto info = inspect(at("c.raw"));
  ASSERT_OK(info);
  EXPECT_EQ(info->file_system, GetParam());
  EXPECT_EQ(info->bytes, wanted.bytes);
  EXPECT_EQ(info->file_system_bytes, wanted.bytes);
  EXPECT_GT(info->allocated, 0U);
  EXPECT_LT(info->allocated, 100 * kMiB);
  EXPECT_EQ(info->label, wanted.label.substr(0, GetParam() == FileSystem::ext4 ? 16 : 12));
  EXPECT_EQ(info->uuid, kUuid);
  EXPECT_TRUE(info->clean);
}

TEST_P(RawImage, a_tree_that_does_not_fit_is_told_and_nothing_is_left) {
  // In memory: this is more than anybody wants to wait for on a busy disk.
  const auto memory = sys::TempDir::create(scratch_parent(), "nx-full");
  ASSERT_OK(memory);
  const std::string tree = memory->path() + "/tree", image = memory->path() + "/c.raw";
  ASSERT_TRUE(std::filesystem::create_directory(tree));
  // Nothing that cp could make a hole of.
  write_text(tree + "/big", std::string(320 * kMiB, 'x'));
  const auto made = make_image(image, spec(), tree);
  EXPECT_ERROR(made, Errc::FileError, AllOf(HasSubstr("make image"), HasSubstr("No space left")));
  EXPECT_EQ(made.error().sys_errno(), ENOSPC);
  EXPECT_THAT(made.error().hint(), HasSubstr("320.0 MiB"));
  EXPECT_FALSE(*sys::exists(AT_FDCWD, image));
}

TEST_P(RawImage, what_is_there_stays) {
  write_text(at("c.raw"), "mine");
  const auto made = make_image(at("c.raw"), spec(), "");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().sys_errno(), EEXIST);
  EXPECT_EQ(read_text(at("c.raw")), "mine");
}

TEST_P(RawImage, a_size_that_is_too_small_is_refused) {
  EXPECT_ERROR(make_image(at("c.raw"), spec(minimal_size(GetParam()) - 1), ""), Errc::InvalidSpec,
               HasSubstr("too small"));
  EXPECT_FALSE(there("c.raw"));
  EXPECT_OK(make_image(at("c.raw"), spec(minimal_size(GetParam())), ""));
  EXPECT_TRUE(mount("c.raw"));
}

TEST_P(RawImage, missing_programs_are_named) {
  Programs programs;
  programs.mke2fs = "no-mke2fs";
  programs.mkfs_xfs = "no-mkfs.xfs";
  EXPECT_ERROR(make_image(at("c.raw"), spec(), "", programs), Errc::RuntimeNotAvailable,
               HasSubstr("find program no-mk"));
  EXPECT_FALSE(there("c.raw"));
}

NX_BOTH_FILE_SYSTEMS(RawImage);

/// With a uuid, ext4 is written without a mount.
class ReproducibleImage : public RawImage {
 protected:
  ImageSpec reproducible() const {
    ImageSpec out = spec(64 * kMiB);
    out.uuid = kUuid;
    return out;
  }
};

TEST_P(ReproducibleImage, the_same_tree_gives_the_same_bytes) {
  const std::string tree = sample();
  ASSERT_OK(make_image(at("a.raw"), reproducible(), tree));
  ::sleep(1);
  ASSERT_OK(make_image(at("b.raw"), reproducible(), tree));
  run_ok({"cmp", at("a.raw"), at("b.raw")});
  expect_sound("a.raw");
}

TEST_P(ReproducibleImage, keeps_all_but_what_the_header_says) {
  const std::string tree = sample();
  ASSERT_OK(make_image(at("c.raw"), reproducible(), tree));
  const auto mounted = mount("c.raw", MOUNT_ATTR_RDONLY);
  ASSERT_TRUE(mounted);
  nexcage::testing::Tree expected = nexcage::testing::read_tree(tree);
  for (auto& [path, fields] : expected)
    if (path != ".") fields["mtime"].replace(fields["mtime"].find('.'), 10, ".000000000");
  const auto lost = [](const std::string& path, const std::string& field) {
    return (path == "after 2038" && field == "mtime") ||
           (path.starts_with("linked symlink") && (field == "nlink" || field == "links"));
  };
  EXPECT_EQ(
      nexcage::testing::compare_trees(expected, nexcage::testing::read_tree(mounted->path()), lost),
      "");
}

TEST_P(ReproducibleImage, an_empty_one_is_empty) {
  ImageSpec wanted = reproducible();
  wanted.root_uid = 100'000;
  ASSERT_OK(make_image(at("c.raw"), wanted, ""));
  const auto mounted = mount("c.raw");
  ASSERT_TRUE(mounted);
  EXPECT_TRUE(std::filesystem::is_empty(mounted->path()));
  struct stat info{};
  ASSERT_EQ(::stat(mounted->path().c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 100'000U);
}

TEST_P(ReproducibleImage, a_tree_that_does_not_fit_is_told) {
  ASSERT_TRUE(std::filesystem::create_directory(at("tree")));
  write_text(at("tree/big"), std::string(70 * kMiB, 'x'));
  const auto made = make_image(at("c.raw"), reproducible(), at("tree"));
  EXPECT_ERROR(made, Errc::FileError, HasSubstr("mke2fs"));
  EXPECT_EQ(made.error().sys_errno(), ENOSPC);
  EXPECT_FALSE(there("c.raw"));
}

TEST_P(ReproducibleImage, a_bad_uuid_is_refused) {
  ImageSpec wanted = spec();
  wanted.uuid = "clear";
  EXPECT_ERROR(make_image(at("c.raw"), wanted, ""), Errc::InvalidSpec, HasSubstr("uuid"));
}

INSTANTIATE_TEST_SUITE_P(Ext4, ReproducibleImage, ::testing::Values(FileSystem::ext4),
                         nexcage::testing::name_of_type);

}  // namespace
}  // namespace nexcage::storage::raw
