#include "nexcage/layerfs/unpack/unpack_layer.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <string>

#include "layer_scratch.h"
#include "result_matchers.h"
#include "tar_writer.h"
#include "tree_compare.h"

namespace nexcage::layerfs::unpack {
namespace {

using ::nexcage::testing::LayerScratch;
using ::nexcage::testing::read_tree;
using ::nexcage::testing::TarMember;
using ::nexcage::testing::TarWriter;
using ::nexcage::testing::Tree;
using ::testing::HasSubstr;

class UnpackLayer : public ::testing::Test {
 protected:
  void SetUp() override { NX_NEEDS_ROOT(); }

  struct stat look(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(lstat((scratch_ / path).c_str(), &info), 0) << path;
    return info;
  }
  bool exists(const std::string& path) {
    struct stat info{};
    return lstat((scratch_ / path).c_str(), &info) == 0;
  }
  bool is_whiteout(const std::string& path) {
    const struct stat info = look(path);
    return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
  }
  std::string xattr(const std::string& path, const char* name) {
    char value[256];
    const ssize_t got = lgetxattr((scratch_ / path).c_str(), name, value, sizeof value);
    return got < 0 ? "(none)" : std::string(value, static_cast<std::size_t>(got));
  }
  bool is_opaque(const std::string& path) { return xattr(path, "trusted.overlay.opaque") == "y"; }
  std::string text(const std::string& path) {
    return sys::read_file(AT_FDCWD, scratch_ / path).value_or("(unreadable)");
  }

  LayerScratch scratch_;
};

TEST_F(UnpackLayer, MakesEveryKindOfFileWithItsMetadata) {
  const timespec time{.tv_sec = 1'234'567'890, .tv_nsec = 123'456'789};
  const std::string capability("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  TarWriter tar;
  tar.add({.name = "./", .type = TarMember::kDirectory, .mode = 0751, .mtime = time})
      .add({.name = "d", .type = TarMember::kDirectory, .mode = 02775, .gid = 50, .mtime = time})
      .add({.name = "d/f",
            .mode = 04755,
            .uid = 1000,
            .gid = 4294967294,
            .mtime = time,
            .data = "hello",
            .xattrs = {{"user.note", "x"}, {"security.capability", capability}}})
      .add({.name = "d/l", .type = TarMember::kSymlink, .uid = 7, .mtime = time, .link = "../x"})
      .add({.name = "d/c",
            .type = TarMember::kCharDevice,
            .mode = 0666,
            .mtime = time,
            .dev_major = 1,
            .dev_minor = 3})
      .add({.name = "d/p", .type = TarMember::kFifo, .mode = 01600, .mtime = time})
      .hard_link("d/h", "d/f");
  const auto result = scratch_.unpack("a", tar.finish());
  ASSERT_OK(result);
  EXPECT_TRUE(result->self_contained);
  EXPECT_TRUE(result->root_entry);
  EXPECT_EQ(result->bytes, 5u);

  Tree tree = read_tree(scratch_ / "a");
  for (const auto& [path, fields] : tree)
    EXPECT_EQ(fields.at("mtime"), "1234567890.123456789") << path;
  EXPECT_EQ(tree["."]["mode"], "40751");
  EXPECT_EQ(tree["d"]["mode"], "42775");
  EXPECT_EQ(tree["d"]["owner"], "0:50");
  EXPECT_EQ(tree["d/f"]["mode"], "104755");
  EXPECT_EQ(tree["d/f"]["owner"], "1000:4294967294");
  EXPECT_EQ(tree["d/f"]["xattrs"], "security.capability=" + capability + ";user.note=x;");
  EXPECT_EQ(tree["d/f"]["links"], "d/f");
  EXPECT_EQ(tree["d/h"]["links"], "d/f");
  EXPECT_EQ(tree["d/l"]["target"], "../x");
  EXPECT_EQ(tree["d/l"]["owner"], "7:0");
  EXPECT_EQ(tree["d/c"]["device"], "1:3");
  EXPECT_EQ(tree["d/p"]["mode"], "11600");
}

TEST_F(UnpackLayer, KeepsHoles) {
  TarWriter tar;
  tar.add({.name = "s",
           .data = std::string(4096, 'a') + std::string(4096, 'b'),
           .segments = {{1 << 20, 4096}, {8 << 20, 4096}},
           .sparse_size = 16 << 20});
  const auto result = scratch_.unpack("a", tar.finish());
  ASSERT_OK(result);
  EXPECT_EQ(result->bytes, 8192u);
  const struct stat info = look("a/s");
  EXPECT_EQ(info.st_size, 16 << 20);
  EXPECT_LE(info.st_blocks * 512, 64 << 10);
  const std::string content = text("a/s");
  EXPECT_EQ(content.substr(1 << 20, 4096), std::string(4096, 'a'));
  EXPECT_EQ(content.substr((1 << 20) + 4096, 4096), std::string(4096, '\0'));
  EXPECT_EQ(content.substr(8 << 20, 4096), std::string(4096, 'b'));
}

TEST_F(UnpackLayer, NamesAreCleanedAndStayInside) {
  TarWriter tar;
  tar.directory("/etc").file("/etc/x", "1").file("../../etc/y", "2").file("./etc//./z", "3");
  ASSERT_OK(scratch_.unpack("a", tar.finish()));
  EXPECT_EQ(text("a/etc/x") + text("a/etc/y") + text("a/etc/z"), "123");
}

TEST_F(UnpackLayer, LaterMemberReplacesEarlier) {
  TarWriter tar;
  tar.file("f", "old")
      .hard_link("g", "f")
      .file("f", "new")
      .directory("d")
      .file("d/in", "x")
      .file("d", "now a file")
      .symlink("s", "f")
      .directory("s");
  ASSERT_OK(scratch_.unpack("a", tar.finish()));
  EXPECT_EQ(text("a/f"), "new");
  EXPECT_EQ(text("a/g"), "old");
  EXPECT_EQ(text("a/d"), "now a file");
  EXPECT_TRUE(S_ISDIR(look("a/s").st_mode));
  EXPECT_TRUE(is_opaque("a/s"));
}

TEST_F(UnpackLayer, DirectoryTimesSurviveLaterChildren) {
  TarWriter tar;
  tar.directory("d").directory("d/e").file("d/e/f", "x").file("d/g", "y");
  ASSERT_OK(scratch_.unpack("a", tar.finish()));
  EXPECT_EQ(look("a/d").st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(look("a/d/e").st_mtim.tv_sec, 1'000'000'000);
}

TEST_F(UnpackLayer, ImpliedParentIsTheSameEverywhere) {
  ASSERT_OK(scratch_.unpack("a", TarWriter().file("x/y/z", "1").finish()));
  EXPECT_EQ(look("a/x").st_mode, S_IFDIR | 0755u);
  EXPECT_EQ(look("a/x/y").st_mtim.tv_sec, 0);
}

TEST_F(UnpackLayer, ParentWithoutMemberIsCopiedFromBelow) {
  TarWriter below;
  below.add({.name = "d",
             .type = TarMember::kDirectory,
             .mode = 01733,
             .uid = 5,
             .gid = 6,
             .xattrs = {{"user.k", "v"}}});
  ASSERT_OK(scratch_.unpack("low", below.finish()));
  const auto result = scratch_.unpack("up", TarWriter().file("d/f", "x").finish(), {"low"});
  ASSERT_OK(result);
  EXPECT_FALSE(result->self_contained);
  EXPECT_EQ(look("up/d").st_mode, S_IFDIR | 01733u);
  EXPECT_EQ(look("up/d").st_uid, 5u);
  EXPECT_EQ(look("up/d").st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(xattr("up/d", "user.k"), "v");
}

TEST_F(UnpackLayer, LayerWithAllItsParentsIsSelfContained) {
  const std::string tar = TarWriter().directory("d").file("d/f", "x").symlink("s", "d").finish();
  const auto result = scratch_.unpack("up", tar, {});
  ASSERT_OK(result);
  EXPECT_TRUE(result->self_contained);
  EXPECT_FALSE(result->root_entry);
}

TEST_F(UnpackLayer, SymlinkedParentIsFollowedThroughTheLayersBelow) {
  TarWriter below;
  below.directory("usr").directory("usr/lib").symlink("lib", "usr/lib").symlink("abs", "/lib/..");
  ASSERT_OK(scratch_.unpack("low", below.finish()));
  TarWriter tar;
  tar.file("lib/a.so", "1").file("abs/b", "2").symlink("own", "../../lib").file("own/c", "3");
  ASSERT_OK(scratch_.unpack("up", tar.finish(), {"low"}));
  EXPECT_EQ(text("up/usr/lib/a.so") + text("up/usr/b") + text("up/usr/lib/c"), "123");
  EXPECT_FALSE(exists("up/lib"));
}

TEST_F(UnpackLayer, SymlinkTargetThatGoesBackMakesNothingOnTheWay) {
  TarWriter tar;
  tar.symlink("s", "missing/../there").file("s/f", "1");
  ASSERT_OK(scratch_.unpack("a", tar.finish()));
  EXPECT_EQ(text("a/there/f"), "1");
  EXPECT_FALSE(exists("a/missing"));
}

TEST_F(UnpackLayer, SymlinkFromBelowCanBeReplacedThroughItself) {
  ASSERT_OK(scratch_.unpack("low", TarWriter().symlink("b", ".").finish()));
  TarWriter tar;
  tar.file("b/b", "1").file("b/c", "2");
  EXPECT_ERROR(scratch_.unpack("up", tar.finish(), {"low"}), Errc::InvalidImage,
               HasSubstr("used as a directory"));
}

TEST_F(UnpackLayer, HardLinkToALowerLayerCopiesTheFile) {
  TarWriter below;
  below.directory("d").add(
      {.name = "d/f", .mode = 04711, .uid = 9, .data = "lower", .xattrs = {{"user.k", "v"}}});
  below.symlink("d/l", "nowhere");
  ASSERT_OK(scratch_.unpack("low", below.finish()));
  TarWriter tar;
  tar.hard_link("g", "d/f").hard_link("m", "/d/l");
  const auto result = scratch_.unpack("up", tar.finish(), {"low"});
  ASSERT_OK(result);
  EXPECT_FALSE(result->self_contained);
  EXPECT_EQ(text("up/g"), "lower");
  EXPECT_EQ(look("up/g").st_ino, look("up/d/f").st_ino);
  EXPECT_EQ(look("up/g").st_mode, S_IFREG | 04711u);
  EXPECT_EQ(look("up/g").st_uid, 9u);
  EXPECT_EQ(xattr("up/g", "user.k"), "v");
  EXPECT_TRUE(S_ISLNK(look("up/m").st_mode));
}

TEST_F(UnpackLayer, HardLinksToTwoNamesOfALowerFileAreOneFile) {
  TarWriter below;
  below.directory("d").file("d/f", "lower").hard_link("e", "d/f").symlink("s", "x");
  below.hard_link("t", "s");
  ASSERT_OK(scratch_.unpack("low", below.finish()));
  TarWriter tar;
  tar.hard_link("g", "d/f").file("d/.wh.f", "").hard_link("h", "e");
  tar.hard_link("v", "s").hard_link("w", "t");
  ASSERT_OK(scratch_.unpack("up", tar.finish(), {"low"}));
  EXPECT_EQ(look("up/g").st_ino, look("up/h").st_ino);
  EXPECT_EQ(look("up/g").st_nlink, 3u);
  EXPECT_EQ(look("up/v").st_ino, look("up/w").st_ino);
  EXPECT_TRUE(S_ISLNK(look("up/w").st_mode));
}

TEST_F(UnpackLayer, HardLinkCopyKeepsHoles) {
  TarWriter below;
  below.add({.name = "s",
             .data = std::string(4096, 'a'),
             .segments = {{4 << 20, 4096}},
             .sparse_size = 8 << 20});
  ASSERT_OK(scratch_.unpack("low", below.finish()));
  ASSERT_OK(scratch_.unpack("up", TarWriter().hard_link("t", "s").finish(), {"low"}));
  EXPECT_EQ(look("up/t").st_size, 8 << 20);
  EXPECT_LE(look("up/t").st_blocks * 512, 64 << 10);
  EXPECT_EQ(text("up/t"), text("low/s"));
}

TEST_F(UnpackLayer, WhiteoutsHideWhatIsBelowInEitherOrder) {
  TarWriter tar;
  tar.file(".wh.gone", "")
      .directory("kept")
      .file("kept/new", "1")
      .file(".wh.kept", "")
      .file(".wh.early", "")
      .directory("early")
      .file(".wh.file", "")
      .file("file", "2");
  const auto result = scratch_.unpack("a", tar.finish());
  ASSERT_OK(result);
  EXPECT_TRUE(result->self_contained);
  EXPECT_TRUE(is_whiteout("a/gone"));
  EXPECT_TRUE(is_opaque("a/kept"));
  EXPECT_EQ(text("a/kept/new"), "1");
  EXPECT_TRUE(is_opaque("a/early"));
  EXPECT_EQ(text("a/file"), "2");
  EXPECT_FALSE(exists("a/.wh.gone"));
}

TEST_F(UnpackLayer, OpaqueDirectoryHidesBelowAndKeepsItsOwn) {
  TarWriter below;
  below.directory("d").directory("d/sub", 0700);
  ASSERT_OK(scratch_.unpack("low", below.finish()));
  TarWriter tar;
  tar.directory("d").file("d/own", "1").file("d/.wh..wh..opq", "").file("d/sub/f", "2");
  ASSERT_OK(scratch_.unpack("up", tar.finish(), {"low"}));
  EXPECT_TRUE(is_opaque("up/d"));
  EXPECT_EQ(text("up/d/own"), "1");
  EXPECT_EQ(look("up/d/sub").st_mode, S_IFDIR | 0755u) << "nothing is taken from what is hidden";
}

TEST_F(UnpackLayer, OpaqueRootIsReported) {
  const auto result = scratch_.unpack("a", TarWriter().file(".wh..wh..opq", "").finish());
  ASSERT_OK(result);
  EXPECT_TRUE(result->root_opaque);
}

TEST_F(UnpackLayer, WhiteoutRemovesWhatWasOnlyCopiedForALink) {
  ASSERT_OK(scratch_.unpack("low", TarWriter().file("f", "x").finish()));
  TarWriter tar;
  tar.hard_link("g", "f").file(".wh.f", "");
  ASSERT_OK(scratch_.unpack("up", tar.finish(), {"low"}));
  EXPECT_TRUE(is_whiteout("up/f"));
  EXPECT_EQ(text("up/g"), "x");
}

TEST_F(UnpackLayer, WhiteoutRemovesADirectoryThatOnlyHeldALinksTarget) {
  ASSERT_OK(scratch_.unpack("low", TarWriter().directory("d").file("d/f", "x").finish()));
  TarWriter tar;
  tar.hard_link("g", "d/f").file(".wh.d", "");
  ASSERT_OK(scratch_.unpack("up", tar.finish(), {"low"}));
  EXPECT_TRUE(is_whiteout("up/d"));
  EXPECT_EQ(text("up/g"), "x");
}

TEST_F(UnpackLayer, WhiteoutRemovesADirectoryThatOnlyHeldWhiteouts) {
  ASSERT_OK(scratch_.unpack("low", TarWriter().directory("d").file("d/f", "x").finish()));
  TarWriter tar;
  tar.file("d/.wh.f", "").file(".wh.d", "");
  ASSERT_OK(scratch_.unpack("up", tar.finish(), {"low"}));
  EXPECT_TRUE(is_whiteout("up/d"));
}

TEST_F(UnpackLayer, OpaqueDirectoryTakesAlongWhatWasBorrowedFromBelow) {
  TarWriter below;
  below.directory("d").directory("d/e", 0711).file("d/e/f", "x").file("d/g", "y");
  ASSERT_OK(scratch_.unpack("low", below.finish()));
  TarWriter tar;
  tar.file("d/e/.wh.f", "").hard_link("h", "d/g").file("d/.wh..wh..opq", "").file("d/e/n", "z");
  ASSERT_OK(scratch_.unpack("up", tar.finish(), {"low"}));
  EXPECT_TRUE(is_opaque("up/d"));
  EXPECT_FALSE(exists("up/d/g"));
  EXPECT_EQ(text("up/h"), "y");
  EXPECT_EQ(look("up/d/e").st_mode, S_IFDIR | 0755u) << "the one below is hidden, this one is new";
}

TEST_F(UnpackLayer, WhiteoutBelowAFileIsNothing) {
  ASSERT_OK(scratch_.unpack("low", TarWriter().file("f", "x").finish()));
  TarWriter tar;
  tar.file("own", "1").file("own/.wh.a", "").file("f/.wh..wh..opq", "");
  ASSERT_OK(scratch_.unpack("up", tar.finish(), {"low"}));
  EXPECT_EQ(text("up/own"), "1");
  EXPECT_FALSE(exists("up/f"));
}

TEST_F(UnpackLayer, WhiteoutInADirectoryThatIsNowhereMakesNothing) {
  ASSERT_OK(scratch_.unpack("a", TarWriter().file("no/such/.wh.f", "").finish()));
  EXPECT_FALSE(exists("a/no"));
}

TEST_F(UnpackLayer, WhiteoutsOfALowerLayerHideWhatIsBelowIt) {
  ASSERT_OK(scratch_.unpack("l1", TarWriter().directory("d", 0711).file("d/f", "x").finish()));
  ASSERT_OK(scratch_.unpack("l2", TarWriter().file(".wh.d", "").finish(), {"l1"}));
  ASSERT_OK(scratch_.unpack("l3", TarWriter().file("d/g", "y").finish(), {"l2", "l1"}));
  EXPECT_EQ(look("l3/d").st_mode, S_IFDIR | 0755u);
  EXPECT_ERROR(scratch_.unpack("l4", TarWriter().hard_link("h", "d/f").finish(), {"l2", "l1"}),
               Errc::InvalidImage, HasSubstr("does not exist"));
}

TEST_F(UnpackLayer, NamesDeeperThanTheCacheWork) {
  std::string path;
  TarWriter tar;
  for (int i = 0; i < 200; ++i) tar.directory(path += (i == 0 ? "d" : "/d"));
  tar.file(path + "/f", "deep").file("d/top", "1").file(path + "/g", "again");
  const auto result = scratch_.unpack("a", tar.finish());
  ASSERT_OK(result);
  EXPECT_EQ(text("a/" + path + "/f") + text("a/" + path + "/g"), "deepagain");
}

TEST_F(UnpackLayer, LimitsAreKeptToTheLastOne) {
  const std::string three = TarWriter().file("a", "1").file("b", "2").directory("c").finish();
  EXPECT_OK(scratch_.unpack("n", three, {}, {.max_files = 3}));
  EXPECT_ERROR(scratch_.unpack("n+1", three, {}, {.max_files = 2}), Errc::InvalidImage,
               HasSubstr("more than 2 files"));
  EXPECT_OK(scratch_.unpack("b", three, {}, {.max_bytes = 2}));
  EXPECT_ERROR(scratch_.unpack("b-1", three, {}, {.max_bytes = 1}), Errc::InvalidImage,
               HasSubstr("of files in one layer"));
  EXPECT_ERROR(scratch_.unpack("m", three, {}, {.max_directory_memory = 100}), Errc::InvalidImage,
               HasSubstr("memory"));
}

TEST_F(UnpackLayer, WrongDiffIdIsInvalidImageNamingTheBlob) {
  const std::string tar = TarWriter().file("a", "1").finish();
  ASSERT_OK(scratch_.unpack("good", tar));
  const oci::Digest digest = image::content::sha256_of(tar);
  std::filesystem::create_directory(scratch_ / "bad");
  UnpackJob job{.blob_path = scratch_ / "good.tar",
                .compression = oci::Compression::none,
                .digest = digest,
                .diff_id = image::content::sha256_of("other"),
                .size = tar.size(),
                .target = scratch_ / "bad",
                .lowers = {}};
  EXPECT_ERROR(unpack_layer(job), Errc::InvalidImage, HasSubstr(digest.str()));
}

}  // namespace
}  // namespace nexcage::layerfs::unpack
