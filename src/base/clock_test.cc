#include "nexcage/base/clock.h"

#include <gtest/gtest.h>

namespace nexcage {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(Clock, fraction_has_the_wanted_number_of_digits) {
  const WallTime time = WallTime(seconds(1714564800)) + nanoseconds(123456789);
  EXPECT_EQ(format_rfc3339(time), "2024-05-01T12:00:00.123456789Z");
  EXPECT_EQ(format_rfc3339(time, 3), "2024-05-01T12:00:00.123Z");
  EXPECT_EQ(format_rfc3339(time, 0), "2024-05-01T12:00:00Z");
  EXPECT_EQ(format_rfc3339(time, 99), "2024-05-01T12:00:00.123456789Z");
}

TEST(Clock, times_before_1970_count_their_fraction_upwards) {
  EXPECT_EQ(format_rfc3339(WallTime(nanoseconds(-1))), "1969-12-31T23:59:59.999999999Z");
}

TEST(Clock, zeros_in_front_stay) {
  EXPECT_EQ(format_rfc3339(WallTime(nanoseconds(7))), "1970-01-01T00:00:00.000000007Z");
}

TEST(Clock, now_is_after_this_was_written) { EXPECT_GT(now(), WallTime(seconds(1714564800))); }

}  // namespace
}  // namespace nexcage
