#include "nexcage/layerfs/tree/materialise.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "nexcage/image/content/stream.h"
#include "nexcage/layerfs/tree/apply.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "tar_writer.h"
#include "tree_compare.h"

namespace nexcage::layerfs::tree {
namespace {

namespace fs = std::filesystem;
using ::nexcage::testing::read_tree;
using ::nexcage::testing::TarMember;
using ::nexcage::testing::TarWriter;
using ::testing::HasSubstr;

class Materialise : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: files of any owner and type";
    std::string pattern = (fs::current_path() / "nx-tree-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    directory_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    if (!path_.empty()) EXPECT_OK(sys::remove_tree(path_));
  }

  void add(const std::string& tar) {
    image::content::MemorySource source(std::as_bytes(std::span(tar)));
    image::content::TarReader reader(source);
    const auto members = read_members(reader);
    ASSERT_OK(members);
    ASSERT_OK(apply(tree_, *members, static_cast<std::uint32_t>(tars_.size())));
    tars_.emplace_back(memfd_create("tar", MFD_CLOEXEC));
    ASSERT_OK(sys::write_all(tars_.back().get(), tar));
  }
  Result<> write() {
    std::vector<int> tars;
    tars.reserve(tars_.size());
    for (const UniqueFd& tar : tars_) tars.push_back(tar.get());
    return materialise(tree_, tars, directory_.get());
  }
  struct stat look(const std::string& name) const {
    struct stat info{};
    EXPECT_EQ(lstat((path_ + "/" + name).c_str(), &info), 0) << name;
    return info;
  }
  std::string text(const std::string& name) const {
    return sys::read_file(AT_FDCWD, path_ + "/" + name).value_or("(unreadable)");
  }

  std::string path_;
  UniqueFd directory_;
  Tree tree_;
  std::vector<UniqueFd> tars_;
};

TEST_F(Materialise, MakesEveryKindOfFileWithItsMetadata) {
  const timespec time{.tv_sec = 1'234'567'890, .tv_nsec = 123'456'789};
  TarWriter tar;
  tar.add({.name = "./", .type = TarMember::kDirectory, .mode = 0751, .mtime = time})
      .add({.name = "d", .type = TarMember::kDirectory, .mode = 02575, .gid = 50, .mtime = time})
      .add({.name = "d/f",
            .mode = 04755,
            .uid = 1000,
            .gid = 4294967294,
            .mtime = time,
            .data = "hello",
            .xattrs = {{"user.note", "x"}}})
      .add({.name = "d/l", .type = TarMember::kSymlink, .uid = 7, .mtime = time, .link = "../x"})
      .add({.name = "d/c",
            .type = TarMember::kCharDevice,
            .mode = 0666,
            .mtime = time,
            .dev_major = 1,
            .dev_minor = 3})
      .add({.name = "d/p", .type = TarMember::kFifo, .mode = 01600, .mtime = time})
      .hard_link("d/h", "d/f");
  add(tar.finish());
  ASSERT_OK(write());
  auto tree = read_tree(path_);
  for (const auto& [path, fields] : tree)
    EXPECT_EQ(fields.at("mtime"), "1234567890.123456789") << path;
  EXPECT_EQ(tree["."]["mode"], "40751");
  EXPECT_EQ(tree["d"]["mode"], "42575");
  EXPECT_EQ(tree["d"]["owner"], "0:50");
  EXPECT_EQ(tree["d/f"]["mode"], "104755");
  EXPECT_EQ(tree["d/f"]["owner"], "1000:4294967294");
  EXPECT_EQ(tree["d/f"]["xattrs"], "user.note=x;");
  EXPECT_EQ(tree["d/h"]["links"], "d/f");
  EXPECT_EQ(tree["d/l"]["target"], "../x");
  EXPECT_EQ(tree["d/l"]["owner"], "7:0");
  EXPECT_EQ(tree["d/c"]["device"], "1:3");
  EXPECT_EQ(tree["d/p"]["mode"], "11600");
  EXPECT_EQ(text("d/f"), "hello");
}

TEST_F(Materialise, TakesDataFromTheLayersAndKeepsHoles) {
  TarWriter below, above;
  const std::string large(300'000, 'l');
  below.file("large", large).file("replaced", "old");
  above.file("replaced", "new")
      .add({.name = "s",
            .data = std::string(4096, 'a'),
            .segments = {{4 << 20, 4096}},
            .sparse_size = 8 << 20});
  add(below.finish());
  add(above.finish());
  ASSERT_OK(write());
  EXPECT_EQ(text("large"), large);
  EXPECT_EQ(text("replaced"), "new");
  EXPECT_EQ(look("s").st_size, 8 << 20);
  EXPECT_LE(look("s").st_blocks * 512, 64 << 10);
  EXPECT_EQ(text("s").substr(4 << 20, 4096), std::string(4096, 'a'));
}

TEST_F(Materialise, InheritsNothingFromWhereItLies) {
  ASSERT_EQ(chmod(path_.c_str(), 02777), 0);
  ASSERT_EQ(chown(path_.c_str(), 12, 34), 0);
  add(TarWriter().file("f", "").directory("d").finish());
  ASSERT_OK(write());
  EXPECT_EQ(look("f").st_gid, 0u);
  EXPECT_EQ(look("d").st_mode, S_IFDIR | 0755u);
  EXPECT_EQ(look(".").st_mode, S_IFDIR | 0755u);
  EXPECT_EQ(look(".").st_uid, 0u);
}

TEST_F(Materialise, TarThatIsTooShortIsRefused) {
  add(TarWriter().file("d/f", "hello").finish());
  ASSERT_EQ(ftruncate(tars_[0].get(), 512), 0);
  EXPECT_ERROR(write(), Errc::InvalidImage, HasSubstr("the tar of layer 0 ends inside a file"));
}

TEST_F(Materialise, DirectoryThatIsNotEmptyIsRefused) {
  std::ofstream(path_ + "/f") << "there";
  add(TarWriter().file("f", "hello").finish());
  EXPECT_ERROR(write(), Errc::FileError, HasSubstr("write \"f\""));
  EXPECT_EQ(text("f"), "there");
}

}  // namespace
}  // namespace nexcage::layerfs::tree
