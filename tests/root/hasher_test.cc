// Hashing prepared files in libexec/nexcage/image.
#include "nexcage/layerfs/hasher.h"

#include <fstream>

#include "nexcage/image/sha256.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::layerfs {
namespace {

using ::testing::HasSubstr;

TEST(HelperHasher, ManyFilesInTheirOrder) {
  auto dir = sys::TempDir::create("/tmp", "nx-hash");
  ASSERT_OK(dir);
  std::vector<std::string> paths, texts;
  for (int i = 0; i < 200; ++i) {
    paths.push_back(dir->path() + "/" + std::to_string(i));
    texts.emplace_back(static_cast<std::size_t>(i) * 997, 'x');
    std::ofstream(paths.back()) << texts.back();
  }
  const auto digests = helper_hasher(NEXCAGE_TEST_LIBEXEC)(paths);
  ASSERT_OK(digests);
  ASSERT_EQ(digests->size(), paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    ASSERT_OK((*digests)[i]);
    ASSERT_EQ(*(*digests)[i], image::sha256_digest(texts[i])) << i;
  }
}

TEST(HelperHasher, OneUnreadableFileHidesNoOther) {
  auto dir = sys::TempDir::create("/tmp", "nx-hash");
  ASSERT_OK(dir);
  const std::string there = dir->path() + "/there", link = dir->path() + "/link";
  std::ofstream(there) << "x";
  ASSERT_EQ(symlink("/etc/passwd", link.c_str()), 0);
  const auto digests = helper_hasher(NEXCAGE_TEST_LIBEXEC)({dir->path() + "/missing", there, link});
  ASSERT_OK(digests);
  EXPECT_ERROR((*digests)[0], Errc::FileError, HasSubstr("missing"));
  EXPECT_OK((*digests)[1]);
  EXPECT_FALSE((*digests)[2].has_value()) << "a link leads out of what was prepared";
}

TEST(HelperHasher, NoFilesAtAll) {
  const auto digests = helper_hasher(NEXCAGE_TEST_LIBEXEC)({});
  ASSERT_OK(digests);
  EXPECT_TRUE(digests->empty());
}

}  // namespace
}  // namespace nexcage::layerfs
