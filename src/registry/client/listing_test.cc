#include "nexcage/registry/client/listing.h"

#include <gtest/gtest.h>

namespace nexcage::registry::client {
namespace {

TEST(NextLink, is_found_among_others) {
  EXPECT_EQ(next_link(R"(</v2/a/tags/list?n=2&last=b>; rel="next")"), "/v2/a/tags/list?n=2&last=b");
  EXPECT_EQ(next_link("<x>; rel=prev, <y>; REL=Next"), "y");
  for (const char* header : {"", "x", "<x", "<x>; rel=prev", "<x>", "rel=next"})
    EXPECT_EQ(next_link(header), std::nullopt) << header;
}

TEST(ReferrersTag, has_at_most_128_characters) {
  const oci::Digest short_one = oci::Digest::from_hex("sha256", std::string(64, 'a'));
  EXPECT_EQ(referrers_tag(short_one), "sha256-" + std::string(64, 'a'));
  const oci::Digest long_one = oci::Digest::from_hex("sha512", std::string(128, 'b'));
  EXPECT_EQ(referrers_tag(long_one), "sha512-" + std::string(64, 'b'));
}

}  // namespace
}  // namespace nexcage::registry::client
