#include "nexcage/registry/client/auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry::client {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Token, either_name_and_the_lifetime) {
  auto token = parse_token(R"({"token": "abc", "access_token": "def", "expires_in": 300})");
  ASSERT_OK(token);
  EXPECT_EQ(token->text, "abc");
  EXPECT_EQ(token->lifetime, std::chrono::seconds(300));
  EXPECT_EQ(parse_token(R"({"access_token": "def"})")->text, "def");
  EXPECT_EQ(parse_token(R"({"access_token": "def"})")->lifetime, std::chrono::seconds(60));
  EXPECT_EQ(parse_token(R"({"token": "a", "expires_in": 1e99})")->lifetime,
            std::chrono::seconds(60));
  EXPECT_EQ(parse_token(R"({"token": "a", "expires_in": 99999999999})")->lifetime,
            std::chrono::hours(24));
}

TEST(Token, what_is_none_is_refused_and_not_repeated) {
  for (const char* text : {"", "[]", "{}", R"({"token": 1})", R"({"token": ""})"}) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(parse_token(text), Errc::RegistryError, HasSubstr("token server"));
  }
  EXPECT_ERROR(parse_token("{\"token\": \"secret\\r\\nX-Evil: 1\"}"), Errc::RegistryError,
               Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace nexcage::registry::client
