#include "nexcage/layerfs/tree/tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace nexcage::layerfs::tree {
namespace {

std::string names_of(const Tree& tree, InodeId directory) {
  std::string names;
  for (const Entry& entry : tree.entries(directory)) names += std::string(entry.name) + " ";
  return names;
}

TEST(Tree, KeepsWhatItIsGiven) {
  Tree tree;
  const std::vector<Xattr> xattrs = {{.name = "security.x", .value = "1"},
                                     {.name = "user.y", .value = std::string_view("\0z", 2)}};
  const std::vector<Extent> extents = {
      {.offset = 0, .length = 10, .source_offset = 512, .source = 3},
      {.offset = 4096, .length = 5, .source_offset = 522, .source = 3}};
  const InodeId directory = tree.add(Tree::kRoot, "d", {.type = Type::directory, .mode = 01777});
  const InodeId file = [&] {
    const std::string name = "gone after the call";
    return tree.add(directory, name,
                    {.type = Type::regular,
                     .mode = 04755,
                     .uid = 4'294'967'294,
                     .gid = 7,
                     .mtime = -5,
                     .mtime_ns = 999'999'999,
                     .size = 1ull << 40,
                     .extents = extents,
                     .xattrs = xattrs});
  }();
  const InodeId link = tree.add(directory, "l", {.type = Type::symlink, .link_target = "../x"});
  const InodeId device = tree.add(
      directory, "c", {.type = Type::char_device, .dev_major = 4095, .dev_minor = 1'048'575});

  const Inode got = tree.inode(file);
  EXPECT_EQ(got.mode, 04755);
  EXPECT_EQ(got.uid, 4'294'967'294u);
  EXPECT_EQ(got.gid, 7u);
  EXPECT_EQ(got.mtime, -5);
  EXPECT_EQ(got.mtime_ns, 999'999'999u);
  EXPECT_EQ(got.size, 1ull << 40);
  EXPECT_EQ(got.nlink, 1u);
  EXPECT_TRUE(std::ranges::equal(got.extents, extents));
  EXPECT_TRUE(std::ranges::equal(got.xattrs, xattrs));
  EXPECT_EQ(tree.inode(link).link_target, "../x");
  EXPECT_EQ(tree.inode(device).dev_major, 4095u);
  EXPECT_EQ(tree.inode(device).dev_minor, 1'048'575u);
  EXPECT_EQ(names_of(tree, directory), "c gone after the call l ");
  EXPECT_EQ(tree.path(directory), "d");
  EXPECT_EQ(tree.parent(directory), Tree::kRoot);
}

TEST(Tree, CountsLinks) {
  Tree tree;
  const InodeId d = tree.add(Tree::kRoot, "d", kImplicitDirectory);
  const InodeId e = tree.add(d, "e", kImplicitDirectory);
  const InodeId f = tree.add(e, "f", {});
  tree.link(Tree::kRoot, "g", f);
  EXPECT_EQ(tree.inode(Tree::kRoot).nlink, 3u);
  EXPECT_EQ(tree.inode(d).nlink, 3u);
  EXPECT_EQ(tree.inode(e).nlink, 2u);
  EXPECT_EQ(tree.inode(f).nlink, 2u);
  tree.remove(Tree::kRoot, "d");
  EXPECT_EQ(tree.inode(Tree::kRoot).nlink, 2u);
  EXPECT_EQ(tree.inode(d).nlink, 0u);
  EXPECT_EQ(tree.inode(e).nlink, 0u);
  EXPECT_EQ(tree.inode(f).nlink, 1u);
  tree.remove(Tree::kRoot, "g");
  EXPECT_EQ(tree.inode(f).nlink, 0u);
  tree.link(Tree::kRoot, "again", f);
  EXPECT_EQ(tree.inode(f).nlink, 1u);
}

TEST(Tree, NamesAreBytesInByteOrder) {
  Tree tree;
  for (const char* name : {"b", "\xff", "a", "B", "a-", "a/..", "\x01", "aa"})
    tree.add(Tree::kRoot, name, {});
  EXPECT_EQ(names_of(tree, Tree::kRoot), "\x01 B a a- a/.. aa b \xff ");
  const std::string longest(255, 'n');
  const InodeId id = tree.add(Tree::kRoot, longest, {});
  EXPECT_EQ(tree.find(Tree::kRoot, longest), id);
}

TEST(Tree, EqualAttributesAreKeptOnce) {
  Tree tree;
  const std::vector<Xattr> set = {{.name = "user.a", .value = "1"}};
  const InodeId a = tree.add(Tree::kRoot, "a", {.xattrs = set});
  const InodeId b = tree.add(Tree::kRoot, "b", {.xattrs = set});
  EXPECT_EQ(tree.inode(a).xattrs.data(), tree.inode(b).xattrs.data());
}

TEST(Tree, RemovesDirectoriesOfAnyDepth) {
  Tree tree;
  InodeId at = Tree::kRoot;
  for (int i = 0; i < 200'000; ++i) at = tree.add(at, "d", kImplicitDirectory);
  tree.add(at, "f", {});
  EXPECT_EQ(tree.path_length(at), 399'999u);
  tree.remove(Tree::kRoot, "d");
  EXPECT_EQ(tree.inode(at).nlink, 0u);
  EXPECT_TRUE(tree.entries(Tree::kRoot).empty());
}

TEST(Tree, IsAsAMapWouldHaveIt) {
  Tree tree;
  std::map<std::string, InodeId> model;
  std::mt19937 random(1);
  const InodeId d = tree.add(Tree::kRoot, "d", kImplicitDirectory);
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = std::to_string(random() % 500);
    if (const auto known = model.find(name); known != model.end()) {
      EXPECT_EQ(tree.find(d, name), known->second);
      tree.remove(d, name);
      model.erase(known);
    } else {
      EXPECT_EQ(tree.find(d, name), std::nullopt);
      model[name] = tree.add(d, name, {});
    }
    EXPECT_EQ(tree.find(Tree::kRoot, name), std::nullopt);
  }
  std::string expected;
  for (const auto& [name, inode] : model) expected += name + " ";
  EXPECT_EQ(names_of(tree, d), expected);
}

TEST(Tree, AnEntryIsSmall) {
  Tree tree;
  constexpr std::uint64_t kCount = 100'000, kNameLength = 6;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const Extent extent{.length = 1, .source_offset = i * 1024};
    tree.add(Tree::kRoot, std::to_string(100'000 + i), {.size = 1, .extents = {&extent, 1}});
  }
  EXPECT_LT(tree.memory() / kCount, 150 + kNameLength);
}

}  // namespace
}  // namespace nexcage::layerfs::tree
