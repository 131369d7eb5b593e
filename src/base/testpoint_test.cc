#include "nexcage/base/testpoint.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace nexcage {
namespace {

TEST(Testpoint, stops_the_process_at_the_named_place_only) {
#ifndef NEXCAGE_TESTPOINTS
  GTEST_SKIP() << "built without NEXCAGE_TESTPOINTS";
#endif
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::setenv("NEXCAGE_TESTPOINT", "second", 1);
    testpoint("first");
    testpoint("second");
    ::_exit(5);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
  ::kill(child, SIGCONT);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 5);
}

}  // namespace
}  // namespace nexcage
