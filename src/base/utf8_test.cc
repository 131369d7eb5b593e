#include "nexcage/base/utf8.h"

#include <gtest/gtest.h>

namespace nexcage {
namespace {

TEST(Utf8, first_and_last_character_of_each_length) {
  const struct {
    std::string_view text;
    std::uint32_t value;
  } cases[] = {
      {std::string_view("\0", 1), 0},
      {"\x7f", 0x7f},
      {"\xc2\x80", 0x80},
      {"\xdf\xbf", 0x7ff},
      {"\xe0\xa0\x80", 0x800},
      {"\xef\xbf\xbf", 0xffff},
      {"\xf0\x90\x80\x80", 0x10000},
      {"\xf4\x8f\xbf\xbf", 0x10ffff},
      {"\xed\x9f\xbf", 0xd7ff},
      {"\xee\x80\x80", 0xe000},
  };
  for (const auto& [text, value] : cases) {
    const Utf8Char c = decode_utf8(text);
    EXPECT_EQ(c.length, text.size());
    EXPECT_EQ(c.value, value);
  }
}

TEST(Utf8, what_rfc_3629_forbids_is_invalid) {
  for (std::string_view bad : {
           "\x80",
           "\xbf",  // no lead byte
           "\xc0\x80",
           "\xc1\xbf",  // overlong
           "\xe0\x9f\xbf",
           "\xf0\x8f\xbf\xbf",
           "\xed\xa0\x80",
           "\xed\xbf\xbf",  // surrogates
           "\xf4\x90\x80\x80",
           "\xf8\x88\x80\x80\x80",
           "\xff",
           "\xc3",
           "\xe2\x82",
           "\xf0\x9f\x98",  // cut
           "\xc3x",
           "\xe2\x82x",
       })
    EXPECT_EQ(decode_utf8(bad).length, 0u) << testing::PrintToString(bad);
}

}  // namespace
}  // namespace nexcage
