#include "nexcage/cli/exec_args.h"

#include "result_matchers.h"

namespace nexcage::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ExecArgs, changes_only_what_was_asked) {
  ExecArgs args;
  oci::Process base;
  base.args = {"init"};
  base.env = {"PATH=/bin", "A=1", "AB=2"};
  base.cwd = "/srv";
  base.terminal = true;
  base.user.uid = 7;
  args.env = {"A=3"};
  args.capabilities = {"CAP_KILL", "CAP_KILL"};
  args.additional_gids = {"5"};
  const auto process = args.apply(base, {"ps", "-e"});
  ASSERT_OK(process);
  EXPECT_THAT(process->args, ElementsAre("ps", "-e"));
  EXPECT_THAT(process->env, ElementsAre("PATH=/bin", "AB=2", "A=3"));
  EXPECT_EQ(process->cwd, "/srv");
  EXPECT_FALSE(process->terminal);
  EXPECT_EQ(process->user.uid, 7u);
  EXPECT_THAT(process->user.additional_gids, ElementsAre(5u));
  EXPECT_THAT(process->capabilities->bounding, ElementsAre("CAP_KILL"));
  EXPECT_THAT(process->capabilities->effective, ElementsAre("CAP_KILL"));
}

TEST(ExecArgs, words_are_checked) {
  ExecArgs args;
  EXPECT_ERROR(args.check({}), Errc::InvalidSpec, HasSubstr("container id"));
  EXPECT_ERROR(args.check({"c1"}), Errc::InvalidSpec, HasSubstr("command"));
  EXPECT_OK(args.check({"c1", "ls"}));
  args.process_file = "p.json";
  EXPECT_OK(args.check({"c1"}));
  EXPECT_ERROR(args.check({"c1", "ls"}), Errc::InvalidSpec, HasSubstr("exclude"));
  args.preserve_fds = "many";
  EXPECT_ERROR(args.check({"c1"}), Errc::InvalidSpec, HasSubstr("--preserve-fds"));
}

TEST(ExecArgs, terminal_and_console_socket_go_together) {
  ExecArgs args;
  EXPECT_OK(args.check_terminal(true));
  args.detach = true;
  EXPECT_OK(args.check_terminal(false));
  EXPECT_ERROR(args.check_terminal(true), Errc::InvalidSpec, HasSubstr("--console-socket"));
  args.console_socket = "/s";
  EXPECT_OK(args.check_terminal(true));
  EXPECT_ERROR(args.check_terminal(false), Errc::InvalidSpec, HasSubstr("--detach"));
}

TEST(ExecArgs, groups_are_numbers) {
  ExecArgs args;
  args.additional_gids = {"wheel"};
  EXPECT_ERROR(args.apply({}, {"ls"}), Errc::InvalidSpec, HasSubstr("wheel"));
}

}  // namespace
}  // namespace nexcage::cli
