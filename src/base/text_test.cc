#include "nexcage/base/text.h"

#include "result_matchers.h"

namespace nexcage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Text, split_gives_one_part_more_than_separators) {
  EXPECT_THAT(split("a,b,,c", ','), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(split("", ','), ElementsAre(""));
  EXPECT_THAT(split(",", ','), ElementsAre("", ""));
}

TEST(Text, join_is_the_inverse_of_split) {
  EXPECT_EQ(join(split("a,b,,c", ','), ","), "a,b,,c");
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join(std::vector<std::string>{"one"}, ", "), "one");
}

TEST(Text, trim_takes_ascii_space_at_both_ends_only) {
  EXPECT_EQ(trim(" \t\r\n a b \v\f"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim("\xc2\xa0x"), "\xc2\xa0x");
}

TEST(Text, numbers_are_the_whole_text_or_nothing) {
  EXPECT_EQ(parse_u64("18446744073709551615"), 18446744073709551615ull);
  EXPECT_EQ(parse_i64("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(parse_u64("007"), 7u);
  for (const char* bad : {"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "18446744073709551616"})
    EXPECT_EQ(parse_u64(bad), std::nullopt) << bad;
  for (const char* bad : {"", "+1", "--1", "9223372036854775808", "1e3"})
    EXPECT_EQ(parse_i64(bad), std::nullopt) << bad;
}

TEST(Text, sizes_use_powers_of_1024) {
  const std::pair<const char*, std::uint64_t> cases[] = {
      {"0", 0},           {"512", 512},
      {"512b", 512},      {"64M", 64ull << 20},
      {"1g", 1ull << 30}, {"10 GiB", 10ull << 30},
      {"2kb", 2048},      {"1.5m", 3ull << 19},
      {"0.25k", 256},     {"3T", 3ull << 40},
      {"1p", 1ull << 50}, {"18446744073709551615", UINT64_MAX},
  };
  for (const auto& [text, bytes] : cases) {
    auto parsed = parse_bytes(text);
    ASSERT_OK(parsed);
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(Text, what_is_no_size_is_refused) {
  for (const char* bad : {"", "M", "-1", "1x", "1.m", ".5m", "1..5m", "1.5.5m", "1  M", "1M ",
                          "1bib", "1 ", "0x10", "1e3", "1mbx"})
    EXPECT_ERROR(parse_bytes(bad), Errc::InvalidConfig, HasSubstr(quote(bad)));
}

TEST(Text, a_size_above_64_bits_is_refused) {
  EXPECT_ERROR(parse_bytes("16384P"), Errc::InvalidConfig, HasSubstr("too large"));
  EXPECT_ERROR(parse_bytes("18446744073709551616"), Errc::InvalidConfig, HasSubstr("size"));
}

TEST(Text, sizes_are_shown_in_the_largest_fitting_unit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(12345678), "11.8 MiB");
  EXPECT_EQ(format_bytes((1ull << 20) - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16.0 EiB");
}

TEST(Text, quote_shows_every_byte_that_could_mislead) {
  EXPECT_EQ(quote("plain"), "\"plain\"");
  EXPECT_EQ(quote("a\"b\\c\nd\te"), R"("a\"b\\c\nd\te")");
  EXPECT_EQ(quote(std::string_view("\x1b[31m\0", 6)), R"("\x1b[31m\x00")");
  EXPECT_EQ(quote("\xff\xc3\xa4"), "\"\\xff\xc3\xa4\"");
  EXPECT_EQ(quote("\xc2\x9b"), R"("\xc2\x9b")");
}

TEST(Text, quote_cuts_long_text_between_characters) {
  EXPECT_EQ(quote(std::string(120, 'x')), '"' + std::string(120, 'x') + '"');
  EXPECT_EQ(quote(std::string(121, 'x')), '"' + std::string(120, 'x') + "...\"");
  // The umlaut would be bytes 119 and 120: it is left out whole.
  EXPECT_EQ(quote(std::string(119, 'x') + "\xc3\xa4"), '"' + std::string(119, 'x') + "...\"");
}

TEST(Text, printable_means_valid_utf8_without_controls) {
  EXPECT_TRUE(is_printable(""));
  EXPECT_TRUE(is_printable("Gr\xc3\xbc\xc3\x9f\x65 ~"));
  for (std::string_view bad : {"\n", "\x7f", "\xc2\x85", "\xff", "\xc3", "\x1b"})
    EXPECT_FALSE(is_printable(bad)) << quote(bad);
}

TEST(Text, closest_finds_typing_errors_and_nothing_else) {
  const std::vector<std::string> words = {"create", "start", "state", "delete", "storage"};
  EXPECT_EQ(closest("craete", words), "create");
  EXPECT_EQ(closest("DELETE", words), "delete");
  EXPECT_EQ(closest("strat", words), "start");
  EXPECT_EQ(closest("storge", words), "storage");
  EXPECT_EQ(closest("exec", words), std::nullopt);
  EXPECT_EQ(closest("", words), std::nullopt);
  EXPECT_EQ(closest("x", std::vector<std::string>{"y"}), std::nullopt);
}

}  // namespace
}  // namespace nexcage
