#include "nexcage/cli/log_lines.h"

#include <gtest/gtest.h>

namespace nexcage::cli {
namespace {

TEST(ParseLogLine, reads_every_field) {
  const auto line = parse_log_line("2026-11-21T22:07:15.4+00:00 stderr P some  text ");
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(line->time, "2026-11-21T22:07:15.4+00:00");
  EXPECT_TRUE(line->is_error);
  EXPECT_TRUE(line->partial);
  EXPECT_EQ(line->text, "some  text ");
  const auto empty = parse_log_line("t stdout F ");
  ASSERT_TRUE(empty.has_value());
  EXPECT_FALSE(empty->is_error);
  EXPECT_FALSE(empty->partial);
  EXPECT_EQ(empty->text, "");
}

TEST(ParseLogLine, refuses_what_is_no_record) {
  for (const char* line :
       {"", "t", "t ", "t stdin F x", "t stdout X x", "t stdout F", "stdout F x"})
    EXPECT_FALSE(parse_log_line(line).has_value()) << line;
}

TEST(LineSplitter, waits_for_the_end_of_a_line) {
  LineSplitter splitter;
  splitter.add("a\nb");
  EXPECT_EQ(splitter.next(), "a");
  EXPECT_EQ(splitter.next(), std::nullopt);
  splitter.add("c\n\n");
  EXPECT_EQ(splitter.next(), "bc");
  EXPECT_EQ(splitter.next(), "");
  EXPECT_EQ(splitter.next(), std::nullopt);
}

TEST(TailFinder, counts_pieces_of_a_line_once) {
  const std::string lines[] = {"t stdout F one", "t stdout P two", "t stdout F more",
                               "t stdout F three"};
  const auto offset_of_last = [&](std::size_t count) {
    TailFinder tail(count);
    for (const std::string& line : lines) tail.add(line, line.size() + 1);
    return tail.offset();
  };
  const std::uint64_t one = lines[0].size() + 1;
  const std::uint64_t two = lines[1].size() + lines[2].size() + 2;
  const std::uint64_t three = lines[3].size() + 1;
  EXPECT_EQ(offset_of_last(0), one + two + three);
  EXPECT_EQ(offset_of_last(1), one + two);
  EXPECT_EQ(offset_of_last(2), one);
  EXPECT_EQ(offset_of_last(9), 0u);
}

}  // namespace
}  // namespace nexcage::cli
