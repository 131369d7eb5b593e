#include "nexcage/registry/client/intervals.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace nexcage::registry::client {
namespace {

Intervals of(std::string_view text) { return Intervals::parse(text, 1'000'000).value(); }

TEST(Intervals, join_when_they_touch) {
  Intervals set;
  set.add({.begin = 10, .end = 20});
  set.add({.begin = 30, .end = 40});
  EXPECT_EQ(set.str(), "10-20 30-40");
  set.add({.begin = 20, .end = 30});
  EXPECT_EQ(set.str(), "10-40");
  set.add({.begin = 0, .end = 5});
  set.add({.begin = 3, .end = 12});
  set.add({.begin = 7, .end = 7});
  EXPECT_EQ(set.str(), "0-40");
  EXPECT_EQ(set.prefix(), 40);
  EXPECT_EQ(set.size(), 40);
}

TEST(Intervals, holes) {
  EXPECT_EQ(of("").first_hole(100, 1000), (Interval{.begin = 0, .end = 100}));
  EXPECT_EQ(of("").first_hole(100, 30), (Interval{.begin = 0, .end = 30}));
  EXPECT_EQ(of("0-10 20-30").first_hole(100, 50), (Interval{.begin = 10, .end = 20}));
  EXPECT_EQ(of("10-20").first_hole(100, 50), (Interval{.begin = 0, .end = 10}));
  EXPECT_EQ(of("0-100").first_hole(100, 50), std::nullopt);
  EXPECT_EQ(of("").first_hole(0, 50), std::nullopt);
}

TEST(Intervals, text_is_checked) {
  EXPECT_EQ(of("0-5 7-9").str(), "0-5 7-9");
  for (const char* text :
       {"5", "5-5", "6-5", "0-5 5-9", "7-9 0-5", "0-5  7-9", "-5", "0-2000000", "0-5 ", "a-b"})
    EXPECT_FALSE(Intervals::parse(text, 1'000'000)) << text;
}

TEST(Intervals, agree_with_a_bitmap) {
  constexpr std::size_t kSize = 64;
  std::mt19937 random(1);
  Intervals set;
  std::vector<bool> bits(kSize);
  for (int step = 0; step < 3000; ++step) {
    const std::uint64_t begin = random() % kSize;
    const std::uint64_t end = begin + random() % (kSize - begin + 1);
    const bool value = random() % 3 != 0;
    if (value)
      set.add({.begin = begin, .end = end});
    else
      set.remove({.begin = begin, .end = end});
    for (std::uint64_t i = begin; i < end; ++i) bits[i] = value;
    std::uint64_t count = 0;
    std::uint64_t prefix = 0;
    for (std::size_t i = 0; i < kSize; ++i) {
      count += bits[i] ? 1 : 0;
      if (bits[i] && prefix == i) prefix = i + 1;
    }
    ASSERT_EQ(set.size(), count);
    ASSERT_EQ(set.prefix(), prefix);
    ASSERT_EQ(Intervals::parse(set.str(), kSize), set);
  }
}

}  // namespace
}  // namespace nexcage::registry::client
