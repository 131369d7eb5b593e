// Becoming another program, and what a program gets that is started as if called directly.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using testing::HasSubstr;

/// Exit code of a child of ours that becomes the command; 99 when it cannot.
int code_of(const Command& command) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    (void)become(command);
    ::_exit(99);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return exit_code(status);
}

TEST(Become, the_program_with_its_words_and_environment) {
  Command command;
  command.program = "/bin/sh";
  command.argv = {"name", "-c", "test $0.$1.$A = x.y.b && exit 7", "x", "y"};
  command.env = {"A=b"};
  EXPECT_EQ(code_of(command), 7);
}

TEST(Become, descriptors_without_cloexec_stay) {
  auto data = sealed_data("text", "test");
  ASSERT_OK(data);
  auto copy = inheritable_above(data->get(), 20);
  ASSERT_OK(copy);
  EXPECT_GE(copy->get(), 20);
  Command command;
  command.argv = {"/bin/sh", "-c",
                  "test $(cat /proc/self/fd/" + std::to_string(copy->get()) + ") = text && exit 7"};
  command.inherit_env = true;
  EXPECT_EQ(code_of(command), 7);
}

TEST(Become, a_missing_program_is_an_error) {
  Command command;
  command.argv = {"/nonexistent/crun"};
  EXPECT_ERROR(become(command), Errc::RuntimeNotAvailable, HasSubstr("/nonexistent/crun"));
  command.argv = {"no-such-program-anywhere"};
  EXPECT_ERROR(become(command), Errc::RuntimeNotAvailable, HasSubstr("no-such-program-anywhere"));
}

TEST(Child, program_is_executed_whatever_its_first_argument) {
  Command command;
  command.program = "/bin/sh";
  command.argv = {"/nonexistent/name", "-c", "exit 7"};
  auto output = run(command, "", std::chrono::seconds(20));
  ASSERT_OK(output);
  EXPECT_EQ(exit_code(output->status), 7);
}

TEST(Child, keep_all_passes_every_descriptor_on) {
  auto data = sealed_data("text", "test");
  ASSERT_OK(data);
  auto copy = inheritable_above(data->get(), 20);
  ASSERT_OK(copy);
  const std::string script =
      "test -e /proc/self/fd/" + std::to_string(copy->get()) + " && exit 7; exit 8";
  Command command;
  command.argv = {"/bin/sh", "-c", script};
  auto closed = run(command, "", std::chrono::seconds(20));
  ASSERT_OK(closed);
  EXPECT_EQ(exit_code(closed->status), 8);
  command.keep_all = true;
  auto kept = run(command, "", std::chrono::seconds(20));
  ASSERT_OK(kept);
  EXPECT_EQ(exit_code(kept->status), 7);
}

}  // namespace
}  // namespace nexcage::sys
