// EROFS images as the kernel sees them: every form, from a file and from a loop device, against the
// tree that was written.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "erofs_fixture.h"
#include "layer_scratch.h"
#include "nexcage/layerfs/erofs/write.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "result_matchers.h"

namespace nexcage::layerfs::erofs {
namespace {

using testing::Piece;
using tree::Tree;
using tree::Type;
using tree::Xattr;

/// A loop device over a file; it goes when the last user closes it.
UniqueFd attach_loop(int file, std::string& path) {
  const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  for (int tries = 0; control && tries < 50; ++tries) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) break;
    path = "/dev/loop" + std::to_string(number);
    UniqueFd loop(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(file);
    config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    if (loop && ::ioctl(loop.get(), LOOP_CONFIGURE, &config) == 0) return loop;
  }
  return {};
}

enum class Backing : std::uint8_t { file, loop };

/// An image mounted in a directory of its own, until the end of the test.
class Mounted {
 public:
  Mounted() { std::filesystem::create_directory(path_); }
  ~Mounted() {
    EXPECT_OK(sys::unmount(path_));
    std::filesystem::remove(path_);
  }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;

  Result<> mount(int image, const std::vector<int>& devices, Backing backing) {
    std::vector<sys::FsParam> params;
    const auto add = [&](const std::string& key, int fd) {
      std::string source = sys::fd_path(fd);
      if (backing == Backing::loop) loops_.push_back(attach_loop(fd, source));
      params.push_back({.key = key, .value = source});
    };
    add("source", image);
    for (const int device : devices) add("device", device);
    params.push_back({.key = "ro", .value = "", .is_flag = true});
    NX_TRY(const sys::DetachedMount mount, sys::new_mount("erofs", params, MOUNT_ATTR_RDONLY));
    return sys::attach(mount, path_);
  }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_ = std::filesystem::current_path() / ("nx-erofs-" + std::to_string(::getpid()));
  std::vector<UniqueFd> loops_;
};

struct Way {
  Form form;
  Backing backing;
  const char* name;
};

class ErofsMount : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    NX_NEEDS_ROOT();
    std::ifstream list("/proc/filesystems");
    const std::string known{std::istreambuf_iterator<char>(list), {}};
    if (known.find("\terofs\n") == std::string::npos) GTEST_SKIP() << "the kernel has no EROFS";
    std::string path;
    if (GetParam().backing == Backing::loop && !attach_loop(testing::scratch_file().get(), path))
      GTEST_SKIP() << "no free loop device";
  }

  /// Writes the sample and mounts it; false when the test is over.
  void mount(const testing::Sample& sample) {
    auto image = sample.write(GetParam().form);
    ASSERT_OK(image);
    image_ = *std::move(image);
    std::vector<int> devices;
    if (GetParam().form == Form::index) devices = sample.archives.fds();
    const Result<> mounted = mounted_.mount(image_.get(), devices, GetParam().backing);
    if (!mounted && mounted.error().sys_errno() == ENOTBLK)
      GTEST_SKIP() << "the kernel mounts EROFS from block devices only (file-backed: 6.12)";
    ASSERT_OK(mounted);
  }
  void expect_equal(const testing::Sample& sample) {
    const testing::Tree actual =
        testing::add_link_counts(testing::read_tree(mounted_.path()), mounted_.path());
    EXPECT_EQ(testing::compare_trees(testing::expected_tree(sample), actual), "");
  }

  UniqueFd image_;
  Mounted mounted_;
};

#define NX_MOUNT(sample)                          \
  do {                                            \
    mount(sample);                                \
    if (HasFatalFailure() || IsSkipped()) return; \
  } while (false)

TEST_P(ErofsMount, EveryKindOfFile) {
  testing::Sample sample(3);
  Tree& tree = sample.tree;
  tree.set_metadata(Tree::kRoot, {.mode = 01751, .uid = 7, .gid = 8, .mtime = -1, .mtime_ns = 5});
  const auto dir = sample.directory(Tree::kRoot, "dir", {.mode = 02775, .mtime = 1'700'000'000});
  sample.directory(dir, "empty", {.mode = 0700});
  for (const std::size_t size : {0, 1, 511, 512, 513, 4000, 4095, 4096, 4097, 100'000})
    sample.file(dir, "file" + std::to_string(size), testing::noise(size, 3),
                {.mode = 04755,
                 .uid = 4'294'967'294,
                 .gid = 70'000,
                 .mtime = 5'000'000'000,
                 .mtime_ns = 999'999'999},
                static_cast<std::uint32_t>(size % 3));
  tree.link(Tree::kRoot, "again", *tree.find(dir, "file513"));
  tree.link(dir, "and again", *tree.find(dir, "file513"));
  for (const std::size_t size : {1, 59, 448, 449, 500, 512, 600, 4095})
    sample.symlink(Tree::kRoot, "link" + std::to_string(size), std::string(size, 'x'));
  sample.device(Tree::kRoot, "null", Type::char_device, 1, 3);
  sample.device(Tree::kRoot, "zero numbers", Type::char_device, 0, 0);
  sample.device(Tree::kRoot, "big numbers", Type::block_device, 4095, 1'048'575);
  tree.add(Tree::kRoot, "fifo", {.type = Type::fifo, .mode = 0622});
  tree.link(dir, "same fifo", *tree.find(Tree::kRoot, "fifo"));
  sample.archives.finish();
  NX_MOUNT(sample);
  expect_equal(sample);
}

/// Names that a directory sorts around "." and "..", and bytes above ASCII.
TEST_P(ErofsMount, NamesInByteOrder) {
  testing::Sample sample;
  for (const char* name : {"!", "-", ".", "+x", "..a", "...", ".-", "./", ". ", "\x01", "\x7f",
                           "\xc3\xa4", "\xff\xfe", "a", "aa", "A"})
    if (std::string(name) != "." && std::string(name) != "./") sample.file(Tree::kRoot, name, name);
  sample.file(Tree::kRoot, std::string(255, 'n'), "longest");
  sample.archives.finish();
  NX_MOUNT(sample);
  expect_equal(sample);
  for (const tree::Entry& entry : sample.tree.entries(Tree::kRoot))
    EXPECT_EQ(::access((mounted_ / std::string(entry.name)).c_str(), F_OK), 0) << entry.name;
  EXPECT_NE(::access((mounted_ / "nobody").c_str(), F_OK), 0);
}

TEST_P(ErofsMount, ExtendedAttributes) {
  testing::Sample sample;
  const std::string large = testing::noise(65'535, 1), page = testing::noise(4096, 2);
  const std::vector<Xattr> common = {
      {"security.capability", std::string_view("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)},
      {"user.x", "shared"}};
  const std::vector<Xattr> one = {{"trusted.alone", "only here"}, {"user.empty", ""}};
  const std::vector<Xattr> big = {{"user.large", large}, {"user.page", page}};
  std::vector<std::string> names;
  for (int i = 100; i < 400; ++i) names.push_back("user.number " + std::to_string(i));
  std::vector<Xattr> many;
  many.reserve(names.size());
  for (const std::string& name : names) many.push_back({name, name});
  // access: rw- for the owner, user 1000 and the group; default of a directory likewise
  const std::string acl(
      "\2\0\0\0\1\0\6\0\xff\xff\xff\xff\2\0\6\0\xe8\3\0\0\4\0\4\0\xff\xff\xff\xff"
      "\x10\0\6\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff",
      44);
  const std::vector<Xattr> acls = {{"system.posix_acl_access", acl},
                                   {"system.posix_acl_default", acl}};
  for (int i = 0; i < 5; ++i)
    sample.file(Tree::kRoot, "common" + std::to_string(i), "c", {.mode = 0644, .xattrs = common});
  sample.file(Tree::kRoot, "one", "data", {.mode = 0600, .xattrs = one});
  sample.file(Tree::kRoot, "big", "", {.mode = 0600, .xattrs = big});
  sample.file(Tree::kRoot, "many", "data", {.mode = 0600, .xattrs = many});
  sample.directory(Tree::kRoot, "many of a directory", {.mode = 0700, .xattrs = many});
  sample.directory(Tree::kRoot, "acl", {.mode = 0660, .xattrs = acls});
  const std::string text = testing::noise(200, 4);
  const std::vector<Xattr> trusted = {{"trusted.a", text}};
  sample.symlink(Tree::kRoot, "symlink", std::string(300, 't'), {.mode = 0777, .xattrs = trusted});
  sample.archives.finish();
  NX_MOUNT(sample);
  expect_equal(sample);
}

/// Takes a second each.
class ErofsMountLarge : public ErofsMount {};

TEST_P(ErofsMountLarge, HundredThousandEntries) {
  testing::Sample sample;
  const auto dir = sample.directory(Tree::kRoot, "dir");
  for (int i = 0; i < 100'000; ++i)
    sample.tree.add(dir, "name of file " + std::to_string(i * 7919 % 100'000),
                    {.mode = 0600, .mtime = i});
  NX_MOUNT(sample);
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(mounted_ / "dir")) {
    (void)entry;
    ++count;
  }
  EXPECT_EQ(count, 100'000U);
  const std::vector<tree::Entry> entries = sample.tree.entries(dir);
  for (std::size_t i = 0; i < entries.size(); i += 997) {
    struct stat info{};
    ASSERT_EQ(::stat((mounted_ / ("dir/" + std::string(entries[i].name))).c_str(), &info), 0);
    EXPECT_EQ(info.st_mtim.tv_sec, sample.tree.inode(entries[i].inode).mtime);
  }
}

TEST_P(ErofsMount, SparseFiles) {
  testing::Sample sample(2);
  const std::string block = testing::noise(4096, 5);
  sample.sparse(Tree::kRoot, "hole only", 1'000'000, {});
  sample.sparse(Tree::kRoot, "hole in front", 9000, {{8192, block.substr(0, 808)}});
  sample.sparse(Tree::kRoot, "hole behind", 9000, {{0, block.substr(0, 512)}});
  sample.sparse(Tree::kRoot, "hole between", 300'000,
                {{4096, block}, {8192, block}, {262'144, block}}, {.mode = 0644}, 1);
  sample.sparse(Tree::kRoot, "within blocks", 2000,
                {{3, "abc"}, {510, "defg"}, {1500, "hij", 17}, {1999, "z"}});
  sample.sparse(Tree::kRoot, "unaligned in the archive", 9000,
                {{0, testing::noise(5000, 6), 100}, {5000, testing::noise(4000, 7), 3}});
  // The data of one block comes from two archives' runs.
  sample.sparse(Tree::kRoot, "many pieces", 1 << 20, [&] {
    std::vector<Piece> pieces;
    for (std::uint64_t at = 0; at + 10'000 < 1 << 20; at += 10'000)
      pieces.push_back({at, testing::noise(1 + at % 7001, static_cast<std::uint32_t>(at))});
    return pieces;
  }());
  sample.archives.finish();
  NX_MOUNT(sample);
  expect_equal(sample);
}

/// 6 GiB with three runs of data: what a full read would hash for a minute is probed.
TEST_P(ErofsMount, LargeSparseFile) {
  testing::Sample sample;
  constexpr std::uint64_t kSize = (std::uint64_t{6} << 30) + 77;
  const std::string data = testing::noise(8192, 8);
  const std::vector<Piece> pieces = {
      {0, data}, {(std::uint64_t{4} << 30) + 4096, data}, {kSize - 77 - 512, data.substr(0, 589)}};
  sample.sparse(Tree::kRoot, "large", kSize, pieces);
  sample.archives.finish();
  NX_MOUNT(sample);
  const UniqueFd file(::open((mounted_ / "large").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file);
  EXPECT_EQ(testing::size_of_file(file.get()), kSize);
  for (const Piece& piece : pieces) {
    EXPECT_EQ(testing::bytes_of(file.get(), piece.offset, piece.data.size()), piece.data);
    if (piece.offset > 0) {
      EXPECT_EQ(testing::bytes_of(file.get(), piece.offset - 512, 512), std::string(512, '\0'));
    }
  }
  struct stat info{};
  ASSERT_EQ(::fstat(image_.get(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, 1 << 20) << "the image is small";
}

/// As many layers as overlayfs' own limits once allowed; each has one file of its own.
TEST_P(ErofsMount, ManyDevices) {
  if (GetParam().backing == Backing::loop) GTEST_SKIP() << "a host has few loop devices";
  constexpr std::uint32_t kLayers = 127;
  testing::Sample sample(kLayers);
  for (std::uint32_t i = 0; i < kLayers; ++i)
    sample.file(Tree::kRoot, "layer" + std::to_string(i), testing::noise(3000 + i, i),
                {.mode = 0644}, i);
  sample.archives.finish();
  NX_MOUNT(sample);
  expect_equal(sample);
}

TEST_P(ErofsMount, DeepTree) {
  testing::Sample sample;
  auto at = Tree::kRoot;
  for (int i = 0; i < 200; ++i) at = sample.directory(at, "d" + std::to_string(i));
  sample.file(at, "deepest", "here");
  sample.archives.finish();
  NX_MOUNT(sample);
  expect_equal(sample);
}

std::string name_of(const ::testing::TestParamInfo<Way>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(Ways, ErofsMountLarge,
                         ::testing::Values(Way{Form::index, Backing::file, "IndexFile"},
                                           Way{Form::full, Backing::loop, "FullLoop"}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Ways, ErofsMount,
                         ::testing::Values(Way{Form::index, Backing::file, "IndexFile"},
                                           Way{Form::index, Backing::loop, "IndexLoop"},
                                           Way{Form::full, Backing::file, "FullFile"},
                                           Way{Form::full, Backing::loop, "FullLoop"}),
                         name_of);

}  // namespace
}  // namespace nexcage::layerfs::erofs
