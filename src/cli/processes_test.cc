#include "nexcage/cli/processes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "result_matchers.h"

namespace nexcage::cli {
namespace {

TEST(ParseStatRow, reads_behind_a_name_with_parentheses) {
  const auto row = parse_stat_row(
      "42 (a) b (c)) S 7 42 42 34819 42 4194560 100 0 0 0 36000 26000 0 0 20 0 1 0 500 0 0",
      {.ticks = 100, .booted = 1'700'000'000, .now = 1'700'001'245});
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->parent, 7);
  EXPECT_EQ(row->tty, "pts/3");
  EXPECT_EQ(row->time, "00:10:20");
  EXPECT_EQ(row->percent, 50);
  EXPECT_EQ(row->started.size(), 5u) << "hours and minutes of the same day: " << row->started;
  EXPECT_EQ(row->command, "[a) b (c)]");
}

TEST(ParseStatRow, refuses_what_is_no_stat) {
  EXPECT_FALSE(parse_stat_row("", {}).has_value());
  EXPECT_FALSE(parse_stat_row("42 (x) S 7", {}).has_value());
  EXPECT_FALSE(parse_stat_row(") (", {}).has_value());
}

TEST(ReadProcessRow, sees_this_process) {
  const auto row = read_process_row(getpid(), read_process_clock());
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->pid, getpid());
  EXPECT_EQ(row->parent, getppid());
  EXPECT_EQ(row->uid, geteuid());
  EXPECT_NE(row->command.find("nx_cli_test"), std::string::npos);
}

TEST(FilterPs, keeps_the_heading_and_the_lines_of_the_pids) {
  constexpr std::string_view kOutput =
      "  PID COMMAND\n    1 init\n   12 sleep 7\n    7 twelve 12\n";
  EXPECT_EQ(*filter_ps(kOutput, {12}), "  PID COMMAND\n   12 sleep 7\n");
  EXPECT_ERROR(filter_ps("COMMAND\ninit\n", {1}), Errc::InvalidSpec, ::testing::HasSubstr("PID"));
}

}  // namespace
}  // namespace nexcage::cli
