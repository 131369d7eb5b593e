#include "nexcage/registry/client/segment.h"

#include <gtest/gtest.h>

namespace nexcage::registry::client {
namespace {

TEST(ContentRange, is_read_strictly) {
  const auto range = parse_content_range("bytes 0-1023/4096");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->bytes, (Interval{.begin = 0, .end = 1024}));
  EXPECT_EQ(range->total, 4096);
  const auto open = parse_content_range("Bytes 5-5/*");
  ASSERT_TRUE(open);
  EXPECT_EQ(open->bytes, (Interval{.begin = 5, .end = 6}));
  EXPECT_FALSE(open->total);
  for (const char* text :
       {"", "bytes", "bytes */4096", "bytes 5-4/10", "bytes 0-1", "octets 0-1/2", "bytes 0-1/x",
        "bytes -1/2", "bytes 0-18446744073709551615/2", "bytes 0 - 1/2"})
    EXPECT_FALSE(parse_content_range(text)) << text;
}

}  // namespace
}  // namespace nexcage::registry::client
