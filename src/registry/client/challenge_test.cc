#include "nexcage/registry/client/challenge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nexcage::registry::client {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

TEST(Challenge, bearer_of_the_distribution_registry) {
  const auto found = parse_challenges(
      R"(Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push")");
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].scheme, "bearer");
  EXPECT_EQ(found[0].parameter("realm"), "https://auth.example/token");
  EXPECT_EQ(found[0].parameter("service"), "registry.example");
  EXPECT_EQ(found[0].parameter("scope"), "repository:a/b:pull,push");
  EXPECT_EQ(found[0].parameter("error"), "");
}

TEST(Challenge, several_in_one_header) {
  const auto found =
      parse_challenges(R"(Basic realm="x", Negotiate , DIGEST Realm=y ,nonce = "a\"b", bearer)");
  ASSERT_THAT(found, SizeIs(4));
  EXPECT_EQ(found[0].scheme, "basic");
  EXPECT_EQ(found[1].scheme, "negotiate");
  EXPECT_THAT(found[1].parameters, IsEmpty());
  EXPECT_EQ(found[2].parameter("realm"), "y");
  EXPECT_EQ(found[2].parameter("nonce"), "a\"b");
  EXPECT_EQ(found[3].scheme, "bearer");
}

TEST(Challenge, what_cannot_be_read_ends_the_list) {
  EXPECT_THAT(parse_challenges(""), IsEmpty());
  EXPECT_THAT(parse_challenges(" , ,"), IsEmpty());
  EXPECT_THAT(parse_challenges("\"quoted\""), IsEmpty());
  const auto open = parse_challenges(R"(Basic realm="never closed)");
  ASSERT_THAT(open, SizeIs(2));  // "realm" is then read as a scheme of its own
  EXPECT_EQ(open[0].parameter("realm"), "");
}

TEST(Challenge, control_characters_leave_the_value_out) {
  const auto found = parse_challenges("Bearer realm=\"a\nb\", service=\"s\"");
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].parameter("realm"), "");
  EXPECT_EQ(found[0].parameter("service"), "s");
}

TEST(Challenge, bearer_is_chosen_before_basic) {
  const auto chosen = choose_challenge({"Basic realm=\"b\"", "Bearer realm=\"t\""});
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->scheme, "bearer");
  EXPECT_EQ(choose_challenge({"Bearer service=x", "Basic"})->scheme, "basic");
  EXPECT_FALSE(choose_challenge({"Negotiate", "Bearer service=x"}));
  EXPECT_FALSE(choose_challenge({}));
}

}  // namespace
}  // namespace nexcage::registry::client
