#include "nexcage/sys/fs_ids.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

TEST(FsIds, FilesBelongToTheIdsAndPowerStays) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: other ids";
  auto scratch = TempDir::create(std::filesystem::current_path(), "fs-ids");
  ASSERT_OK(scratch);
  const int dir = scratch->fd();  // root's, 0700: only with capabilities can another write here
  const auto owner_of = [&](const std::string& name) {
    EXPECT_OK(open_at(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600));
    const auto info = stat_at(dir, name);
    return info && *info ? std::pair((*info)->st_uid, (*info)->st_gid) : std::pair(~0u, ~0u);
  };
  {
    const auto ids = FsIds::become(100'000, 200'000);
    ASSERT_OK(ids);
    EXPECT_EQ(owner_of("theirs"), std::pair(100'000u, 200'000u));
  }
  EXPECT_EQ(owner_of("ours"), std::pair(0u, 0u));
}

}  // namespace
}  // namespace nexcage::sys
