// What is written is what is read back, in both forms; the kernel's opinion is asked in
// tests/root/erofs_mount_test.cc.
#include "nexcage/layerfs/erofs/write.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "erofs_fixture.h"
#include "layer_tree_compare.h"
#include "nexcage/layerfs/erofs/read.h"
#include "result_matchers.h"

namespace nexcage::layerfs::erofs {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Piece;
using testing::Sample;
using tree::Tree;
using tree::Type;
using tree::Xattr;

std::string image_of(const Sample& sample, Form form) {
  const auto image = sample.write(form);
  EXPECT_OK(image);
  return image ? testing::bytes_of(image->get(), 0, testing::size_of_file(image->get()))
               : std::string();
}

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

class ErofsRoundTrip : public ::testing::TestWithParam<Form> {
 protected:
  /// Writes, reads back, compares.
  static void expect_same(Sample& sample) {
    sample.archives.finish();
    const std::string image = image_of(sample, GetParam());
    const auto content = read(bytes(image));
    ASSERT_OK(content);
    EXPECT_EQ(content->block_bits, GetParam() == Form::index ? 9U : 12U);
    const testing::TreeData expected{
        .tree = sample.tree,
        .read = [&](std::uint32_t source, std::uint64_t offset, std::span<char> to) {
          std::ranges::copy(testing::bytes_of(sample.archives.fd(source), offset, to.size()),
                            to.begin());
        }};
    const testing::TreeData actual{
        .tree = content->tree,
        .read = [&](std::uint32_t source, std::uint64_t offset, std::span<char> to) {
          if (source == kImageSource)
            std::ranges::copy(image.substr(offset, to.size()), to.begin());
          else
            expected.read(source, offset, to);
        }};
    EXPECT_EQ(testing::compare_layer_trees(expected, actual), "");
  }
};

TEST_P(ErofsRoundTrip, RootAlone) {
  Sample sample(0);
  expect_same(sample);
}

TEST_P(ErofsRoundTrip, FilesOfManySizes) {
  Sample sample(2);
  const auto dir = sample.directory(Tree::kRoot, "dir", {.mode = 01777, .mtime = -1});
  for (std::size_t size = 0; size < 10'000; size += size / 3 + 1)
    sample.file(dir, std::to_string(size), testing::noise(size, 1),
                {.mode = 0644,
                 .uid = 4'294'967'295,
                 .gid = 65'536,
                 .mtime = 1LL << 40,
                 .mtime_ns = 999'999'999},
                size % 2);
  expect_same(sample);
}

TEST_P(ErofsRoundTrip, LinksAndDevices) {
  Sample sample;
  const auto dir = sample.directory(Tree::kRoot, "a");
  const auto file = sample.file(dir, "b", "content");
  sample.tree.link(Tree::kRoot, "c", file);
  for (std::size_t size = 1; size <= 4095; size += size / 2 + 1)
    sample.symlink(dir, "l" + std::to_string(size), std::string(size, 's'));
  sample.symlink(dir, "longest", std::string(4095, 's'));
  sample.device(dir, "char", Type::char_device, 4095, 1'048'575);
  sample.device(dir, "block", Type::block_device, 8, 256);
  sample.tree.link(dir, "d", sample.tree.add(dir, "fifo", {.type = Type::fifo, .mode = 0600}));
  expect_same(sample);
}

/// Every count around the places where a block, or one more, is full.
TEST_P(ErofsRoundTrip, DirectoriesOfManySizes) {
  Sample sample;
  for (int count = 0; count < 90; ++count) {
    const auto dir = sample.directory(Tree::kRoot, "d" + std::to_string(count));
    for (int i = 0; i < count; ++i)
      sample.tree.add(dir, std::string(1 + (i * 37 + count) % 255, static_cast<char>('0' + i)),
                      {.mode = 0600});
  }
  expect_same(sample);
}

TEST_P(ErofsRoundTrip, ExtendedAttributes) {
  Sample sample;
  const std::string large = testing::noise(65'535, 1);
  std::vector<std::string> names;
  for (int i = 1000; i < 1600; ++i) names.push_back("trusted." + std::to_string(i));
  std::vector<Xattr> many;
  many.reserve(names.size());
  for (const std::string& name : names) many.push_back({name, name});
  const std::vector<Xattr> shared = {{"security.a", "b"}, {"user.empty", ""}};
  const std::vector<Xattr> mixed = {{"security.a", "b"}, {"user.large", large}, {"user.own", "x"}};
  const std::string list("\2\0\0\0\1\0\7\0\xff\xff\xff\xff", 12);
  const std::vector<Xattr> acl = {
      {"system.posix_acl_access", list},
      {"system.posix_acl_default", std::string_view(list).substr(0, 4)}};
  for (int i = 0; i < 3; ++i)
    sample.file(Tree::kRoot, "s" + std::to_string(i), "x", {.mode = 0600, .xattrs = shared});
  sample.file(Tree::kRoot, "mixed", "x", {.mode = 0600, .xattrs = mixed});
  sample.file(Tree::kRoot, "many", "x", {.mode = 0600, .xattrs = many});
  sample.symlink(Tree::kRoot, "link", std::string(200, 'x'), {.mode = 0777, .xattrs = acl});
  sample.tree.set_metadata(Tree::kRoot, {.mode = 0755, .xattrs = mixed});
  expect_same(sample);
}

TEST_P(ErofsRoundTrip, SparseFiles) {
  Sample sample(2);
  const std::string data = testing::noise(70'000, 9);
  sample.sparse(Tree::kRoot, "empty", 1 << 20, {});
  sample.sparse(Tree::kRoot, "one byte", (std::uint64_t{1} << 44), {{123'456'789'012, "x"}});
  sample.sparse(Tree::kRoot, "unaligned", 100'000,
                {{1, data.substr(0, 5000), 3}, {5001, data.substr(0, 511), 1}, {99'999, "e"}});
  for (std::uint64_t step : {511, 512, 513, 4096, 5000, 65'536}) {
    std::vector<Piece> pieces;
    for (std::uint64_t at = 0; at + step < 1 << 20; at += 2 * step)
      pieces.push_back({at, data.substr(0, step), step % 7});
    sample.sparse(Tree::kRoot, "every " + std::to_string(step), 1 << 20, pieces, {.mode = 0600}, 1);
  }
  expect_same(sample);
}

/// One file from the runs of two layers: what a change of metadata alone may one day leave.
TEST_P(ErofsRoundTrip, FileOfTwoArchives) {
  Sample sample(2);
  const std::string data = testing::noise(2048, 9);
  const std::vector<tree::Extent> extents = {
      {.offset = 0, .length = 2048, .source_offset = sample.archives.add(0, data), .source = 0},
      {.offset = 2048, .length = 1000, .source_offset = sample.archives.add(1, data), .source = 1}};
  sample.tree.add(Tree::kRoot, "file", {.mode = 0600, .size = 3048, .extents = extents});
  expect_same(sample);
}

INSTANTIATE_TEST_SUITE_P(Forms, ErofsRoundTrip, ::testing::Values(Form::index, Form::full),
                         [](const auto& test) {
                           return std::string(test.param == Form::index ? "Index" : "Full");
                         });

/// The same tree made in another order, with a detour.
TEST(ErofsWrite, SameTreeSameBytes) {
  for (const Form form : {Form::index, Form::full}) {
    const std::vector<Xattr> one = {{"user.a", "1"}}, two = {{"user.a", "1"}, {"user.b", "2"}};
    const auto build = [&](bool backwards) {
      Sample sample;
      if (backwards) {
        sample.directory(Tree::kRoot, "later gone");
        sample.symlink(Tree::kRoot, "x", "y");
      }
      std::vector<std::function<void()>> steps = {
          [&] { sample.directory(Tree::kRoot, "d", {.mode = 0700, .xattrs = one}); },
          [&] { sample.symlink(Tree::kRoot, "e", "target", {.mode = 0777, .xattrs = two}); },
          [&] { sample.tree.add(Tree::kRoot, "f", {.mode = 0600, .xattrs = two}); }};
      if (backwards) std::ranges::reverse(steps);
      for (const auto& step : steps) step();
      sample.file(*sample.tree.find(Tree::kRoot, "d"), "data", testing::noise(5000, 1));
      if (backwards) {
        sample.tree.remove(Tree::kRoot, "later gone");
        sample.tree.remove(Tree::kRoot, "x");
      }
      sample.archives.finish();
      return image_of(sample, form);
    };
    EXPECT_EQ(build(false), build(true));
  }
}

TEST(ErofsWrite, IndexOfOneFileIsSmallAndPointsIntoTheArchive) {
  Sample sample(2);
  sample.file(Tree::kRoot, "f", testing::noise(1 << 20, 1), {.mode = 0600}, 1);
  sample.archives.finish();
  const std::string image = image_of(sample, Form::index);
  EXPECT_LE(image.size(), 2048U);
  const auto content = read(bytes(image));
  ASSERT_OK(content);
  const auto file = content->tree.inode(*content->tree.find(Tree::kRoot, "f"));
  EXPECT_EQ(std::vector(file.extents.begin(), file.extents.end()),
            std::vector<tree::Extent>({{.length = 1 << 20, .source = 1}}));
  ASSERT_EQ(content->devices.size(), 2U);
  EXPECT_EQ(content->devices[1].bytes, 1U << 20);
}

/// Layers that the tree has nothing of need no device; the others move up.
TEST(ErofsWrite, DevicesThatAreNotInTheTable) {
  Sample sample(3);
  sample.file(Tree::kRoot, "f", testing::noise(1024, 1), {.mode = 0600}, 2);
  sample.archives.finish();
  const UniqueFd out = testing::scratch_file();
  WriteOptions options{.devices = sample.archives.devices()};
  options.devices[0].in_table = options.devices[1].in_table = false;
  ASSERT_OK(write(sample.tree, options, sample.archives.fds(), out.get()));
  const std::string image = testing::bytes_of(out.get(), 0, testing::size_of_file(out.get()));
  const auto content = read(bytes(image));
  ASSERT_OK(content);
  ASSERT_EQ(content->devices.size(), 1U);
  EXPECT_EQ(content->devices[0].bytes, 1024U);
  EXPECT_EQ(content->tree.inode(*content->tree.find(Tree::kRoot, "f")).extents[0].source, 0U);
  options.devices[2].in_table = false;
  EXPECT_ERROR(write(sample.tree, options, sample.archives.fds(), out.get()), Errc::InvalidImage,
               HasSubstr("not in the archive of layer 2"));
}

/// A loop device shows whole sectors only.
TEST(ErofsWrite, LastPartOfAnArchiveThatEndsWithinABlockIsCopied) {
  Sample sample;
  sample.file(Tree::kRoot, "f", testing::noise(1000, 1));
  const std::string image = image_of(sample, Form::index);
  const auto content = read(bytes(image));
  ASSERT_OK(content);
  const auto file = content->tree.inode(*content->tree.find(Tree::kRoot, "f"));
  for (const tree::Extent& extent : file.extents)
    EXPECT_TRUE(extent.source == kImageSource || extent.source_offset + extent.length <= 512);
}

Result<UniqueFd> write_one(const tree::Inode& inode, Form form = Form::index) {
  Sample sample;
  sample.archives.add(0, std::string(4096, 'x'));
  sample.tree.add(sample.directory(Tree::kRoot, "dir"), "name", inode);
  return sample.write(form);
}

TEST(ErofsWrite, SaysWhatItCannotHold) {
  const std::string huge(65'536, 'v'), name = "user." + std::string(256, 'n');
  const auto with = [](std::string_view xattr, std::string_view value) {
    const std::vector<Xattr> xattrs = {{xattr, value}};
    return write_one({.mode = 0600, .xattrs = xattrs});
  };
  EXPECT_ERROR(with("user.big", huge), Errc::Unsupported,
               AllOf(HasSubstr("\"dir/name\": "), HasSubstr("more than 65535 bytes")));
  EXPECT_ERROR(with(name, "v"), Errc::Unsupported, HasSubstr("more than 255 bytes"));
  EXPECT_ERROR(with("system.nfs4_acl", "v"), Errc::Unsupported, HasSubstr("system.nfs4_acl"));
  EXPECT_ERROR(with("user.", "v"), Errc::Unsupported, HasSubstr("user."));
  EXPECT_ERROR(with("com.apple.quarantine", "v"), Errc::Unsupported, HasSubstr("com.apple"));
  using namespace std::string_view_literals;
  for (const std::string_view list :
       {""sv, "acl"sv, "\1\0\0\0"sv, "\2\0\0\0\1"sv, "\2\0\0\0\3\0\7\0\0\0\0\0"sv,
        "\2\0\0\0\0\0\7\0\0\0\0\0"sv, "\2\0\0\0\2\0\7\0\xff\xff\xff\xff"sv})
    EXPECT_ERROR(with("system.posix_acl_access", list), Errc::InvalidImage,
                 HasSubstr("holds no access control list"));
  EXPECT_ERROR(write_one({.type = Type::char_device, .dev_major = 4096}), Errc::Unsupported,
               HasSubstr("\"dir/name\": device 4096:0"));
  EXPECT_ERROR(write_one({.type = Type::block_device, .dev_minor = 1 << 20}), Errc::Unsupported,
               HasSubstr("0:1048576"));
  EXPECT_ERROR(write_one({.size = (std::uint64_t{1} << 44) + 1}), Errc::Unsupported,
               HasSubstr("above 16 TiB"));
  EXPECT_ERROR(
      write_one({.type = Type::symlink, .link_target = std::string_view(huge).substr(0, 4096)}),
      Errc::InvalidImage, HasSubstr("4096 bytes"));
  EXPECT_ERROR(write_one({.type = Type::symlink}), Errc::InvalidImage, HasSubstr("0 bytes"));
}

TEST(ErofsWrite, TooManyLargeAttributes) {
  const std::string value = testing::noise(65'000, 1);
  std::vector<std::string> names;
  for (int i = 100; i < 400; ++i) names.push_back("user." + std::to_string(i));
  std::vector<Xattr> xattrs;
  xattrs.reserve(names.size());
  for (const std::string& name : names) xattrs.push_back({name, value});
  EXPECT_ERROR(write_one({.mode = 0600, .xattrs = xattrs}), Errc::Unsupported,
               HasSubstr("\"dir/name\": 300 extended attributes"));
  xattrs.resize(255);
  EXPECT_OK(write_one({.mode = 0600, .xattrs = xattrs}));
}

TEST(ErofsWrite, ExtentsThatAreNot) {
  const auto with = [](const std::vector<tree::Extent>& extents, Form form) {
    return write_one({.mode = 0600, .size = 100, .extents = extents}, form);
  };
  for (const Form form : {Form::index, Form::full}) {
    EXPECT_ERROR(with({{.length = 101}}, form), Errc::InvalidImage, HasSubstr("behind the end"));
    EXPECT_ERROR(with({{.length = 0}}, form), Errc::InvalidImage, HasSubstr("out of order"));
    EXPECT_ERROR(with({{.offset = 50, .length = 9}, {.length = 9}}, form), Errc::InvalidImage,
                 HasSubstr("out of order"));
    EXPECT_ERROR(with({{.length = 9, .source = 1}}, form), Errc::InvalidImage,
                 HasSubstr("layer 1"));
    EXPECT_ERROR(with({{.length = 9, .source_offset = ~std::uint64_t{0}}}, form),
                 Errc::InvalidImage, HasSubstr("layer 0"));
    EXPECT_ERROR(with({{.length = 100, .source_offset = 4000}}, form), Errc::InvalidImage,
                 HasSubstr("byte 4"));
  }
}

/// Sparse files cost tables; many of them must not fill a disk from a small archive.
TEST(ErofsWrite, SparseFilesHaveABudget) {
  Sample sample;
  const std::uint64_t at = sample.archives.add(0, "x");
  for (int i = 0; i < 400; ++i) {
    const std::vector<tree::Extent> extents = {
        {.offset = 123'456'789'012, .length = 1, .source_offset = at}};
    sample.tree.add(Tree::kRoot, std::to_string(i),
                    {.mode = 0600, .size = std::uint64_t{1} << 44, .extents = extents});
  }
  sample.archives.finish();
  EXPECT_ERROR(sample.write(Form::index), Errc::Unsupported, HasSubstr("sparse files"));
}

TEST(ErofsWrite, TarsAboveTheReachOfAddresses) {
  const UniqueFd out = testing::scratch_file();
  const WriteOptions options{.devices = {{.bytes = std::uint64_t{1} << 41}}};
  EXPECT_ERROR(write(Tree(), options, {}, out.get()), Errc::Unsupported, HasSubstr("2 TiB"));
}

TEST(ErofsWrite, AnOutputThatFailsIsSaid) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto written = write(Tree(), {}, {}, full.get());
  ASSERT_FALSE(written.has_value());
  EXPECT_THAT(written.error().message(), HasSubstr("write EROFS image"));
}

}  // namespace
}  // namespace nexcage::layerfs::erofs
