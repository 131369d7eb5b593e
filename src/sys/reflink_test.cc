#include "nexcage/sys/reflink.h"

#include <fcntl.h>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using testing::HasSubstr;

TEST(Reflink, memory_cannot_share_blocks_and_says_its_name) {
  const auto from = memory_file("from");
  const auto to = memory_file("to");
  ASSERT_OK(from);
  ASSERT_OK(to);
  const auto done = clone_file(from->get(), to->get());
  EXPECT_ERROR(done, Errc::Unsupported, HasSubstr("(tmpfs) cannot share blocks"));
  EXPECT_NE(done.error().sys_errno(), 0);
}

TEST(Reflink, a_file_system_that_nobody_knows_is_told_by_its_number) {
  const auto proc = open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY);
  ASSERT_OK(proc);
  EXPECT_EQ(*fs_name(proc->get()), "type 0x9fa0");
}

}  // namespace
}  // namespace nexcage::sys
