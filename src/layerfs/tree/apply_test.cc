#include "nexcage/layerfs/tree/apply.h"

#include <map>
#include <string>
#include <vector>

#include "nexcage/image/content/stream.h"
#include "result_matchers.h"
#include "tar_writer.h"

namespace nexcage::layerfs::tree {
namespace {

using ::nexcage::testing::TarMember;
using ::nexcage::testing::TarWriter;
using ::testing::HasSubstr;

Result<Members> members_of(const std::string& tar, const UnpackLimits& limits = {}) {
  image::content::MemorySource source(std::as_bytes(std::span(tar)));
  image::content::TarReader reader(source);
  return read_members(reader, limits);
}

/// "d/f" -> what it is, in a form that is easy to expect: "file mode owner size", "dir ...", "->
/// x".
std::string describe(const Inode& inode) {
  static constexpr const char* kTypes[] = {"file", "dir", "link", "char", "block", "fifo"};
  char text[200];
  (void)std::snprintf(text, sizeof text, "%s %o %u:%u", kTypes[static_cast<int>(inode.type)],
                      unsigned{inode.mode}, inode.uid, inode.gid);
  std::string result = text;
  if (inode.type == Type::symlink && inode.mode == 0777)
    result = "-> " + std::string(inode.link_target);
  if (inode.type == Type::char_device && inode.dev_major == 0) result = "whiteout";
  for (const Extent& extent : inode.extents)
    result += " [" + std::to_string(extent.offset) + "+" + std::to_string(extent.length) + " of " +
              std::to_string(extent.source) + "]";
  for (const Xattr& xattr : inode.xattrs)
    result += " " + std::string(xattr.name) + "=" + std::string(xattr.value);
  return result;
}

std::map<std::string, std::string> listing(const Tree& tree) {
  std::map<std::string, std::string> all = {{".", describe(tree.inode(Tree::kRoot))}};
  std::vector<std::pair<InodeId, std::string>> open = {{Tree::kRoot, ""}};
  while (!open.empty()) {
    const auto [directory, path] = open.back();
    open.pop_back();
    for (const Entry& entry : tree.entries(directory)) {
      all[path + std::string(entry.name)] = describe(tree.inode(entry.inode));
      if (tree.is_directory(entry.inode))
        open.emplace_back(entry.inode, path + std::string(entry.name) + "/");
    }
  }
  return all;
}

using Listing = std::map<std::string, std::string>;

/// A stack that grows layer by layer.
class Apply : public ::testing::Test {
 protected:
  Result<Applied> add(const std::string& tar, const UnpackLimits& limits = {}) {
    NX_TRY(const Members members, members_of(tar, limits));
    NX_TRY(LayerChange change, plan_layer(tree_, members, source_, limits));
    overlay_ = overlay_form(tree_, change);
    const Applied applied = change.applied;
    merge(tree_, std::move(change));
    ++source_;
    return applied;
  }
  Listing now() const { return listing(tree_); }
  Inode at(std::string_view path) const {
    InodeId id = Tree::kRoot;
    while (!path.empty()) {
      const std::size_t end = std::min(path.find('/'), path.size());
      const auto found = tree_.find(id, path.substr(0, end));
      if (!found) return {};
      id = *found;
      path.remove_prefix(std::min(end + 1, path.size()));
    }
    return tree_.inode(id);
  }
  bool exists(std::string_view path) const { return at(path).nlink > 0; }

  Tree tree_;
  Tree overlay_;  // of the last layer
  std::uint32_t source_ = 0;
};

TEST_F(Apply, KeepsEveryKindOfFileWithItsMetadata) {
  const timespec time{.tv_sec = 1'234'567'890, .tv_nsec = 123'456'789};
  TarWriter tar;
  tar.add({.name = "./", .type = TarMember::kDirectory, .mode = 0751, .mtime = time})
      .add({.name = "d", .type = TarMember::kDirectory, .mode = 02775, .gid = 50, .mtime = time})
      .add({.name = "d/f",
            .mode = 04755,
            .uid = 1000,
            .gid = 4294967294,
            .mtime = time,
            .data = "hello",
            .xattrs = {{"user.note", "x"}, {"security.selinux", "not ours"}}})
      .add({.name = "d/l", .type = TarMember::kSymlink, .uid = 7, .mtime = time, .link = "../x"})
      .add({.name = "d/c", .type = TarMember::kCharDevice, .dev_major = 1, .dev_minor = 3})
      .add({.name = "d/p", .type = TarMember::kFifo, .mode = 01600})
      .hard_link("d/h", "d/f");
  const auto result = add(tar.finish());
  ASSERT_OK(result);
  EXPECT_TRUE(result->self_contained);
  EXPECT_TRUE(result->root_entry);
  EXPECT_EQ(result->bytes, 5u);
  EXPECT_EQ(now(), (Listing{{".", "dir 751 0:0"},
                            {"d", "dir 2775 0:50"},
                            {"d/c", "char 644 0:0"},
                            {"d/f", "file 4755 1000:4294967294 [0+5 of 0] user.note=x"},
                            {"d/h", "file 4755 1000:4294967294 [0+5 of 0] user.note=x"},
                            {"d/l", "-> ../x"},
                            {"d/p", "fifo 1600 0:0"}}));
  EXPECT_EQ(at("d/f").nlink, 2u);
  EXPECT_EQ(at("d/f").mtime, time.tv_sec);
  EXPECT_EQ(at("d/f").mtime_ns, 123'456'789u);
  EXPECT_EQ(at("d").nlink, 2u);
}

TEST_F(Apply, ExtentsSayWhereTheDataLies) {
  TarWriter tar;
  tar.file("f", "hello").file("empty", "");
  tar.add({.name = "s",
           .data = std::string(100, 'a') + std::string(200, 'b') + std::string(50, 'c'),
           .segments = {{4096, 100}, {8192, 200}, {8392, 50}},
           .sparse_size = 1 << 20});
  const std::string bytes = tar.finish();
  ASSERT_OK(add(bytes));
  EXPECT_EQ(at("s").size, 1u << 20);
  ASSERT_EQ(at("s").extents.size(), 2u);
  EXPECT_EQ(at("s").extents[1].length, 250u) << "pieces that touch are one";
  EXPECT_TRUE(at("empty").extents.empty());
  const auto text = [&](const Extent& extent) {
    return bytes.substr(extent.source_offset, extent.length);
  };
  EXPECT_EQ(text(at("f").extents[0]), "hello");
  EXPECT_EQ(text(at("s").extents[0]), std::string(100, 'a'));
  EXPECT_EQ(text(at("s").extents[1]), std::string(200, 'b') + std::string(50, 'c'));
}

TEST_F(Apply, NamesAreCleanedAndStayInside) {
  TarWriter tar;
  tar.directory("/etc").file("/etc/x", "").file("../../etc/y", "").file("./etc//./z", "");
  tar.file("a/../etc/w", "").directory(".///");
  ASSERT_OK(add(tar.finish()));
  EXPECT_EQ(now().size(), 6u);
  for (const char* path : {"etc/x", "etc/y", "etc/z", "etc/w"}) EXPECT_TRUE(exists(path)) << path;
}

TEST_F(Apply, HardLinkToALowerLayerIsOneMoreName) {
  ASSERT_OK(add(TarWriter().directory("d").file("d/f", "lower").hard_link("d/e", "d/f").finish()));
  const auto result = add(TarWriter().hard_link("g", "d/f").hard_link("h", "d/e").finish());
  ASSERT_OK(result);
  EXPECT_FALSE(result->self_contained);
  EXPECT_EQ(at("g").nlink, 4u);
  EXPECT_EQ(listing(overlay_), (Listing{{".", "dir 755 0:0"},
                                        {"d", "dir 755 0:0"},
                                        {"d/e", "file 644 0:0 [0+5 of 0]"},
                                        {"d/f", "file 644 0:0 [0+5 of 0]"},
                                        {"g", "file 644 0:0 [0+5 of 0]"},
                                        {"h", "file 644 0:0 [0+5 of 0]"}}));
  EXPECT_EQ(overlay_.inode(*overlay_.find(Tree::kRoot, "g")).nlink, 4u);
}

TEST_F(Apply, HardLinkOutlivesItsHiddenTarget) {
  ASSERT_OK(add(TarWriter().directory("d").file("d/f", "lower").finish()));
  TarWriter tar;
  tar.hard_link("g", "d/f").file("d/.wh..wh..opq", "");
  ASSERT_OK(add(tar.finish()));
  EXPECT_FALSE(exists("d/f"));
  EXPECT_EQ(at("g").nlink, 1u);
  EXPECT_EQ(at("g").size, 5u);
  ASSERT_OK(add(TarWriter().hard_link("d", "g").finish()));
  EXPECT_EQ(at("g").nlink, 2u);
}

TEST_F(Apply, WhiteoutsHideWhatIsBelowInEitherOrder) {
  TarWriter below;
  below.file("gone", "").directory("kept").file("kept/old", "").directory("early");
  below.file("early/old", "").file("file", "");
  ASSERT_OK(add(below.finish()));
  TarWriter tar;
  tar.file(".wh.gone", "")
      .directory("kept")
      .file("kept/new", "1")
      .file(".wh.kept", "")
      .file(".wh.early", "")
      .directory("early")
      .file(".wh.file", "")
      .file("file", "22")
      .file(".wh.nothing", "");
  const auto result = add(tar.finish());
  ASSERT_OK(result);
  EXPECT_TRUE(result->self_contained);
  EXPECT_EQ(now(), (Listing{{".", "dir 755 0:0"},
                            {"kept", "dir 755 0:0"},
                            {"kept/new", "file 644 0:0 [0+1 of 1]"},
                            {"early", "dir 755 0:0"},
                            {"file", "file 644 0:0 [0+2 of 1]"}}));
  EXPECT_EQ(listing(overlay_), (Listing{{".", "dir 755 0:0"},
                                        {"gone", "whiteout"},
                                        {"kept", "dir 755 0:0 trusted.overlay.opaque=y"},
                                        {"kept/new", "file 644 0:0 [0+1 of 1]"},
                                        {"early", "dir 755 0:0 trusted.overlay.opaque=y"},
                                        {"file", "file 644 0:0 [0+2 of 1]"}}));
}

TEST_F(Apply, WhiteoutKeepsADirectoryFromBelowInWhichOneWasMadeUp) {
  ASSERT_OK(add(TarWriter().directory("c").file("c/old", "").finish()));
  TarWriter tar;
  tar.file("c/made/up", "").file(".wh.c", "");
  ASSERT_OK(add(tar.finish()));
  EXPECT_TRUE(exists("c/made/up"));
  EXPECT_FALSE(exists("c/old"));
}

TEST_F(Apply, MarksOfOverlayfsStandAmongTheOtherAttributes) {
  ASSERT_OK(add(TarWriter().directory("d").finish()));
  TarWriter tar;
  tar.add({.name = "d",
           .type = TarMember::kDirectory,
           .mode = 0755,
           .xattrs = {{"security.x", "1"}, {"user.x", "2"}}});
  tar.file("d/.wh..wh..opq", "");
  ASSERT_OK(add(tar.finish()));
  EXPECT_EQ(listing(overlay_)["d"], "dir 755 0:0 security.x=1 trusted.overlay.opaque=y user.x=2");
  EXPECT_EQ(now()["d"], "dir 755 0:0 security.x=1 user.x=2");
}

TEST_F(Apply, RootIsAsTheTopMostLayerThatDescribesItSays) {
  TarWriter first;
  first.directory("./", 0711).file("f", "");
  ASSERT_OK(add(first.finish()));
  const auto result = add(TarWriter().file(".wh..wh..opq", "").file("g", "").finish());
  ASSERT_OK(result);
  EXPECT_TRUE(result->root_opaque);
  EXPECT_EQ(now(), (Listing{{".", "dir 711 0:0"}, {"g", "file 644 0:0"}}));
  EXPECT_EQ(listing(overlay_)["."], "dir 711 0:0");
}

TEST_F(Apply, ParentWithoutMemberIsTheOneBelowOrMadeUp) {
  TarWriter below;
  below.add({.name = "d", .type = TarMember::kDirectory, .mode = 01733, .uid = 5, .gid = 6});
  ASSERT_OK(add(below.finish()));
  ASSERT_OK(add(TarWriter().file("d/f", "").file("x/y/z", "").finish()));
  EXPECT_EQ(now()["d"], "dir 1733 5:6");
  EXPECT_EQ(now()["x/y"], "dir 755 0:0");
  EXPECT_EQ(at("x").mtime, 0);
  EXPECT_EQ(at("x").nlink, 3u);
}

TEST_F(Apply, SymlinkedParentIsFollowedThroughTheLayersBelow) {
  TarWriter below;
  below.directory("usr").directory("usr/lib").symlink("lib", "usr/lib").symlink("abs", "/lib/..");
  ASSERT_OK(add(below.finish()));
  TarWriter tar;
  tar.file("lib/a.so", "").file("abs/b", "").symlink("own", "../../lib").file("own/c", "");
  tar.symlink("s", "missing/../there").file("s/f", "");
  ASSERT_OK(add(tar.finish()));
  for (const char* path : {"usr/lib/a.so", "usr/b", "usr/lib/c", "there/f"})
    EXPECT_TRUE(exists(path)) << path;
  EXPECT_EQ(at("lib").type, Type::symlink);
  EXPECT_FALSE(exists("missing"));
}

TEST_F(Apply, AfterAnErrorTheTreeIsAsBefore) {
  ASSERT_OK(add(TarWriter().file("f", "x").finish()));
  const Listing before = now();
  TarWriter tar;
  tar.file("g", "").file(".wh.f", "").file("g/h", "");
  EXPECT_ERROR(add(tar.finish()), Errc::InvalidImage,
               HasSubstr(R"(member "g/h": "g" is used as a directory but is none)"));
  EXPECT_EQ(now(), before);
}

TEST_F(Apply, DirectoriesDeeperThanAnyPathAreRefused) {
  const std::string step = std::string(200, 'd') + "/";
  std::string deep;
  for (int i = 0; i < 15; ++i) deep += step;
  TarWriter tar;
  tar.symlink("s", deep).file("s/f", "").symlink("t", "s/" + deep).file("t/f", "");
  EXPECT_ERROR(add(tar.finish()), Errc::InvalidImage, HasSubstr("longer than 4095 bytes"));
}

TEST_F(Apply, LimitsAreKeptToTheLastOne) {
  const std::string three = TarWriter().file("a", "1").file("b", "2").directory("c").finish();
  EXPECT_OK(add(three, {.max_files = 3}));
  EXPECT_ERROR(add(three, {.max_files = 2}), Errc::InvalidImage, HasSubstr("more than 2 files"));
  EXPECT_OK(add(three, {.max_bytes = 2}));
  EXPECT_ERROR(add(three, {.max_bytes = 1}), Errc::InvalidImage,
               HasSubstr("of files in one layer"));
  EXPECT_ERROR(add(three, {.max_tree_memory = 100}), Errc::InvalidImage, HasSubstr("memory"));
}

TEST_F(Apply, ManyNamesAndWhiteoutsInOneDirectoryAreQuick) {
  constexpr int kCount = 4'000;
  TarWriter below, tar;
  for (int i = 0; i < kCount; ++i) {
    below.file("d/" + std::to_string(i), "");
    tar.file("d/.wh." + std::to_string(i), "").hard_link("l" + std::to_string(i), "d/0");
    tar.file("d/.wh..wh..opq", "");
  }
  ASSERT_OK(add(below.finish()));
  // The whiteout of d/0 comes first: the links lead to nothing.
  EXPECT_ERROR(add(tar.finish()), Errc::InvalidImage, HasSubstr("does not exist"));
  TarWriter links;
  for (int i = 0; i < kCount; ++i)
    links.hard_link("l" + std::to_string(i), "d/" + std::to_string(i))
        .file("d/.wh." + std::to_string(i), "");
  ASSERT_OK(add(links.finish()));
  EXPECT_EQ(tree_.entries(*tree_.find(Tree::kRoot, "d")).size(), 0u);
  EXPECT_EQ(at("l7").nlink, 1u);
}

}  // namespace
}  // namespace nexcage::layerfs::tree
