#include "nexcage/cli/exit_code.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace nexcage::cli {
namespace {

TEST(StartFailureCode, a_missing_command_is_127) {
  EXPECT_EQ(start_failure_code(Error::from_errno(ENOENT, "exec nosuch").wrap("start c1"), 125),
            127);
  EXPECT_EQ(start_failure_code(
                Error(Errc::LXCError, "exec: \"x\": executable file not found in $PATH"), 125),
            127);
}

TEST(StartFailureCode, a_command_that_cannot_run_is_126) {
  EXPECT_EQ(start_failure_code(Error::from_errno(EACCES, "exec /etc/passwd"), 125), 126);
  EXPECT_EQ(start_failure_code(Error::from_errno(ENOEXEC, "exec /x"), 125), 126);
}

TEST(StartFailureCode, words_of_other_runtimes_count) {
  const auto code = [](const char* text) {
    return start_failure_code(Error(Errc::RuntimeError, text), 125);
  };
  EXPECT_EQ(code("crun create: executable file `x` not found in $PATH: No such file or directory"),
            127);
  EXPECT_EQ(code("runc create failed: unable to start container process: exec: \"/x\": stat /x: "
                 "no such file or directory"),
            127);
  EXPECT_EQ(code("crun create: open executable: Permission denied"), 126);
  EXPECT_EQ(code("runc create failed: unable to start container process: exec: \"/etc\": "
                 "permission denied"),
            126);
  EXPECT_EQ(code("crun create: mount `/src` to `/dst`: No such file or directory"), 125);
}

TEST(StartFailureCode, other_steps_are_our_own_failure) {
  EXPECT_EQ(start_failure_code(Error::from_errno(ENOENT, "mount /src"), 125), 125);
  EXPECT_EQ(start_failure_code(Error::from_errno(Errc::HookError, ENOENT, "exec hook"), 125), 125);
  EXPECT_EQ(start_failure_code(Error::from_errno(EIO, "exec /x"), 255), 255);
}

}  // namespace
}  // namespace nexcage::cli
