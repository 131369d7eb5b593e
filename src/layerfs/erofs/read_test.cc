// Images that lie.
#include "nexcage/layerfs/erofs/read.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "erofs_fixture.h"
#include "nexcage/layerfs/erofs/crc32c.h"
#include "nexcage/layerfs/erofs/format.h"
#include "result_matchers.h"

namespace nexcage::layerfs::erofs {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using testing::Sample;
using tree::Tree;
using tree::Type;

/// A small image of everything, to be spoiled. Without a checksum, which would hide the rest.
class Image {
 public:
  explicit Image(Form form = Form::index) {
    Sample sample;
    const std::vector<tree::Xattr> xattrs = {{"user.a", "1"}, {"user.b", std::string_view("2")}};
    const auto dir = sample.directory(Tree::kRoot, "dir", {.mode = 0755, .xattrs = xattrs});
    sample.tree.link(dir, "other", sample.file(Tree::kRoot, "file", testing::noise(600, 1)));
    sample.sparse(Tree::kRoot, "sparse", 10'000, {{0, testing::noise(512, 2)}, {8192, "end"}});
    sample.symlink(Tree::kRoot, "symlink", "target", {.mode = 0777, .xattrs = xattrs});
    sample.device(Tree::kRoot, "device", Type::char_device, 1, 3);
    sample.archives.finish();
    const auto image = sample.write(form);
    EXPECT_OK(image);
    bytes_ = testing::bytes_of(image->get(), 0, testing::size_of_file(image->get()));
    auto super = get<SuperBlock>(kSuperOffset);
    super.feature_compat &= ~kCompatChecksum;
    put(kSuperOffset, super);
  }

  template <class T>
  T get(std::size_t offset) const {
    T object;
    std::memcpy(&object, bytes_.data() + offset, sizeof object);
    return object;
  }
  template <class T>
  void put(std::size_t offset, const T& object) {
    std::memcpy(bytes_.data() + offset, &object, sizeof object);
  }
  std::string& bytes() { return bytes_; }
  std::size_t root() const { return get<SuperBlock>(kSuperOffset).root_nid * kSlotBytes; }
  /// Where the inode with this name in the root lies.
  std::size_t inode(const std::string& name) const {
    const std::size_t block = root() + sizeof(ExtendedInode);
    const auto first = get<Dirent>(block);
    for (std::size_t at = 0; at < first.name_offset; at += sizeof(Dirent)) {
      const auto entry = get<Dirent>(block + at);
      if (bytes_.compare(block + entry.name_offset, name.size(), name) == 0)
        return entry.nid_low * kSlotBytes;
    }
    ADD_FAILURE() << name;
    return 0;
  }
  Result<ImageContent> read(const ReadLimits& limits = {}) const {
    return erofs::read(std::as_bytes(std::span(bytes_)), limits);
  }
  /// Changes one structure and reads.
  template <class T, class Change>
  Result<ImageContent> spoilt(std::size_t offset, Change change) const {
    Image copy = *this;
    auto object = get<T>(offset);
    change(object);
    copy.put(offset, object);
    return copy.read();
  }

 private:
  std::string bytes_;
};

TEST(ErofsRead, Superblock) {
  const Image image;
  EXPECT_OK(image.read());
  const auto super = [&](auto change) { return image.spoilt<SuperBlock>(kSuperOffset, change); };
  EXPECT_ERROR(super([](auto& s) { s.magic = 1; }), Errc::InvalidImage, HasSubstr("no superblock"));
  EXPECT_ERROR(super([](auto& s) { s.block_bits = 40; }), Errc::Unsupported, HasSubstr("2^40"));
  EXPECT_ERROR(super([](auto& s) { s.dir_block_bits = 1; }), Errc::Unsupported,
               HasSubstr("blocks"));
  EXPECT_ERROR(super([](auto& s) { s.feature_incompat |= 0x80; }), Errc::Unsupported,
               HasSubstr("features"));
  EXPECT_ERROR(super([](auto& s) { s.root_nid = 0xffff; }), Errc::InvalidImage,
               HasSubstr("not in the image"));
  EXPECT_ERROR(super([](auto& s) { s.meta_block = 0xffffffff; }), Errc::InvalidImage,
               HasSubstr("not in the image"));
  EXPECT_ERROR(super([](auto& s) { s.device_slot = 0xffff; }), Errc::InvalidImage,
               HasSubstr("not in the image"));
  EXPECT_ERROR(super([](auto& s) {
                 s.feature_compat |= kCompatChecksum;
                 s.uuid[0] ^= std::byte{1};
               }),
               Errc::InvalidImage, HasSubstr("checksum"));
  EXPECT_ERROR(super([](auto& s) { s.xattr_block = 0xffffffff; }), Errc::InvalidImage,
               HasSubstr("not in the image"));
}

TEST(ErofsRead, Inodes) {
  const Image image;
  const auto inode = [&](const std::string& name, auto change) {
    return image.spoilt<ExtendedInode>(image.inode(name), change);
  };
  EXPECT_ERROR(inode("file", [](auto& i) { i.mode = 0; }), Errc::InvalidImage, HasSubstr("mode"));
  EXPECT_ERROR(inode("file", [](auto& i) { i.mode = 0140644; }), Errc::Unsupported,
               HasSubstr("socket"));
  EXPECT_ERROR(inode("file", [](auto& i) { i.mode = 0010644; }), Errc::InvalidImage,
               HasSubstr("another type"));
  EXPECT_ERROR(inode("file", [](auto& i) { i.nlink = 3; }), Errc::InvalidImage,
               HasSubstr("has 2 links, not 3"));
  EXPECT_ERROR(inode("dir", [](auto& i) { i.nlink = 3; }), Errc::InvalidImage,
               HasSubstr("has 2 links, not 3"));
  EXPECT_ERROR(inode("file", [](auto& i) { i.mtime_ns = 1'000'000'000; }), Errc::InvalidImage,
               HasSubstr("time"));
  EXPECT_ERROR(inode("file", [](auto& i) { i.size = ~std::uint64_t{0}; }), Errc::InvalidImage,
               HasSubstr("larger than a file can be"));
  EXPECT_ERROR(inode("file", [](auto& i) { i.size = std::uint64_t{1} << 62; }), Errc::InvalidImage,
               HasSubstr("chunks"));
  EXPECT_ERROR(inode("file", [](auto& i) { i.format = 3; }), Errc::Unsupported,
               HasSubstr("layout 1"));
  EXPECT_ERROR(inode("file", [](auto& i) { i.data |= 0x40; }), Errc::Unsupported,
               HasSubstr("chunks of format"));
  EXPECT_ERROR(inode("dir", [](auto& i) { i.format = 9; }), Errc::Unsupported,
               HasSubstr("in chunks"));
  EXPECT_ERROR(inode("dir", [](auto& i) { i.xattr_count = 0xffff; }), Errc::Unsupported,
               HasSubstr("kind 0"));
  EXPECT_ERROR(inode("symlink", [](auto& i) { i.size = 0; }), Errc::InvalidImage,
               HasSubstr("symlink of 0 bytes"));
  EXPECT_ERROR(inode("symlink", [](auto& i) { i.size = 4096; }), Errc::InvalidImage,
               HasSubstr("symlink of 4096 bytes"));
  EXPECT_ERROR(inode("symlink", [](auto& i) { i.size = 511; }), Errc::InvalidImage,
               HasSubstr("crosses a block's end"));
}

TEST(ErofsRead, ChunksAreOnTheirDevices) {
  const Image image;
  const std::size_t table = image.inode("file") + sizeof(ExtendedInode);
  const auto chunk = [&](auto change) { return image.spoilt<ChunkIndex>(table, change); };
  EXPECT_ERROR(chunk([](auto& c) { c.device = 2; }), Errc::InvalidImage, HasSubstr("no device"));
  EXPECT_ERROR(chunk([](auto& c) { c.block += 1000; }), Errc::InvalidImage, HasSubstr("no device"));
  EXPECT_ERROR(chunk([](auto& c) { c = {.device = 0, .block = 1000}; }), Errc::InvalidImage,
               HasSubstr("behind the image's end"));
  const auto hole = chunk([](auto& c) { c.block = kNoBlock; });
  ASSERT_OK(hole);
  EXPECT_TRUE(hole->tree.inode(*hole->tree.find(Tree::kRoot, "file")).extents.empty());
}

TEST(ErofsRead, Directories) {
  const Image image;
  const std::size_t block = image.root() + sizeof(ExtendedInode);
  const auto entry = [&](std::size_t i, auto change) {
    return image.spoilt<Dirent>(block + i * sizeof(Dirent), change);
  };
  EXPECT_ERROR(entry(0, [](auto& d) { d.nid_low += 1; }), Errc::InvalidImage,
               HasSubstr("leads elsewhere"));
  EXPECT_ERROR(entry(1, [](auto& d) { d.nid_low += 1; }), Errc::InvalidImage,
               HasSubstr("leads elsewhere"));
  EXPECT_ERROR(entry(3, [](auto& d) { d.nid_high = 1; }), Errc::InvalidImage,
               HasSubstr("not in the image"));
  EXPECT_ERROR(entry(3, [](auto& d) { d.type = 7; }), Errc::InvalidImage,
               HasSubstr("another type"));
  EXPECT_ERROR(entry(0, [](auto& d) { d.name_offset = 0; }), Errc::InvalidImage,
               HasSubstr("without entries"));
  EXPECT_ERROR(entry(0, [](auto& d) { d.name_offset = 0xfff0; }), Errc::InvalidImage,
               HasSubstr("without entries"));
  EXPECT_ERROR(entry(3, [](auto& d) { d.name_offset = 0xffff; }), Errc::InvalidImage,
               HasSubstr("elsewhere"));
  EXPECT_ERROR(entry(3, [](auto& d) { d.name_offset = 0; }), Errc::InvalidImage,
               HasSubstr("elsewhere"));
  EXPECT_ERROR(entry(3,
                     [&](auto& d) {
                       d.nid_low = image.root() / kSlotBytes;
                       d.type = 2;
                     }),
               Errc::InvalidImage, HasSubstr("two names"));
  Image unsorted = image;
  const auto third = image.get<Dirent>(block + 3 * sizeof(Dirent));
  unsorted.bytes()[block + third.name_offset] = '\x01';
  EXPECT_ERROR(unsorted.read(), Errc::InvalidImage, HasSubstr("not sorted"));
  Image slash = image;
  slash.bytes()[block + third.name_offset + 1] = '/';
  EXPECT_ERROR(slash.read(), Errc::InvalidImage, HasSubstr("with the name"));
  EXPECT_ERROR(image.spoilt<ExtendedInode>(image.root(), [](auto& i) { i.size = 0; }),
               Errc::InvalidImage, HasSubstr("without \".\""));
  EXPECT_ERROR(image.spoilt<ExtendedInode>(image.root(), [](auto& i) { i.mode = 0100644; }),
               Errc::InvalidImage, HasSubstr("the root is no directory"));
}

TEST(ErofsRead, Attributes) {
  const Image image;
  const std::size_t header = image.inode("dir") + sizeof(ExtendedInode);
  EXPECT_ERROR(image.spoilt<XattrHeader>(header, [](auto& h) { h.shared = 255; }),
               Errc::InvalidImage, HasSubstr("more shared attributes"));
  const std::size_t ids = header + sizeof(XattrHeader);
  EXPECT_ERROR(image.spoilt<std::uint32_t>(ids, [](auto& id) { id = 0xffffffff; }),
               Errc::InvalidImage, HasSubstr("not in the image"));
  EXPECT_ERROR(image.spoilt<std::uint32_t>(ids, [](auto& id) { id = 2; }), Errc::InvalidImage,
               AnyOf(HasSubstr("two attributes"), HasSubstr("attribute")));
  const std::size_t shared = std::size_t{512} * image.get<SuperBlock>(kSuperOffset).xattr_block;
  EXPECT_ERROR(image.spoilt<XattrEntry>(shared, [](auto& e) { e.prefix = 5; }), Errc::Unsupported,
               HasSubstr("kind 5"));
  EXPECT_ERROR(image.spoilt<XattrEntry>(shared, [](auto& e) { e.name_length = 0; }),
               Errc::InvalidImage, HasSubstr("name of an attribute"));
}

TEST(ErofsRead, Limits) {
  const Image image;
  EXPECT_ERROR(image.read({.max_entries = 5}), Errc::InvalidImage, HasSubstr("more files"));
  EXPECT_OK(image.read({.max_entries = 6}));
  EXPECT_ERROR(image.read({.max_extents = 1}), Errc::InvalidImage, HasSubstr("more runs"));
  EXPECT_ERROR(image.read({.max_metadata = 500}), Errc::InvalidImage, HasSubstr("more metadata"));
}

/// No image is too short, and no single byte brings the reader out of the image.
TEST(ErofsRead, EveryPrefixAndEveryByte) {
  for (const Form form : {Form::index, Form::full}) {
    const Image image(form);
    for (std::size_t size = 0; size < kSuperOffset + 1500; size += 7) {
      Image cut = image;
      cut.bytes().resize(size);
      EXPECT_FALSE(cut.read().has_value());
    }
    Image spoilt = image;
    for (std::size_t at = kSuperOffset; at < image.root() + 2000; ++at) {
      const char was = spoilt.bytes()[at];
      for (const char is : {'\0', '\1', '\x7f', '\xff'}) {
        spoilt.bytes()[at] = is;
        (void)spoilt.read();
      }
      spoilt.bytes()[at] = was;
    }
    EXPECT_OK(spoilt.read());
  }
}

TEST(ErofsRead, Crc32cIsCastagnoli) {
  const std::string text = "123456789";
  EXPECT_EQ(~crc32c(~std::uint32_t{0}, std::as_bytes(std::span(text))), 0xe3069283U);
}

}  // namespace
}  // namespace nexcage::layerfs::erofs
