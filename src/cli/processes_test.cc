#include "nexcage/cli/processes.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace nexcage::cli {
namespace {

TEST(ParseStatRow, reads_behind_a_name_with_parentheses) {
  const auto row = parse_stat_row(
      "42 (a) b (c)) S 7 42 42 34819 42 4194560 100 0 0 0 36000 26000 0 0 20 0 1 0 5 0 0", 100);
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->parent, 7);
  EXPECT_EQ(row->tty, "pts/3");
  EXPECT_EQ(row->time, "00:10:20");
  EXPECT_EQ(row->command, "[a) b (c)]");
}

TEST(ParseStatRow, refuses_what_is_no_stat) {
  EXPECT_FALSE(parse_stat_row("", 100).has_value());
  EXPECT_FALSE(parse_stat_row("42 (x) S 7", 100).has_value());
  EXPECT_FALSE(parse_stat_row(") (", 100).has_value());
}

TEST(ReadProcessRow, sees_this_process) {
  const auto row = read_process_row(getpid());
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->pid, getpid());
  EXPECT_EQ(row->parent, getppid());
  EXPECT_EQ(row->uid, geteuid());
  EXPECT_NE(row->command.find("nx_cli_test"), std::string::npos);
}

}  // namespace
}  // namespace nexcage::cli
