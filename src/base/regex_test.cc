#include "nexcage/base/regex.h"

#include <optional>

#include "result_matchers.h"

namespace nexcage {
namespace {

using testing::HasSubstr;

TEST(Regex, matches_somewhere_unless_anchored) {
  auto regex = Regex::compile("web[0-9]+");
  ASSERT_OK(regex);
  EXPECT_TRUE(regex->matches("my-web12x"));
  EXPECT_FALSE(regex->matches("web"));
  auto anchored = Regex::compile("^(web|db)$");
  ASSERT_OK(anchored);
  EXPECT_TRUE(anchored->matches("db"));
  EXPECT_FALSE(anchored->matches("db1"));
  EXPECT_EQ(anchored->text(), "^(web|db)$");
}

TEST(Regex, a_bad_expression_says_why) {
  EXPECT_ERROR(Regex::compile("web["), Errc::InvalidConfig, HasSubstr("\"web[\""));
  EXPECT_ERROR(Regex::compile("(x"), Errc::InvalidConfig, HasSubstr("(x"));
}

TEST(Regex, copies_outlive_the_first) {
  std::optional<Regex> first = *Regex::compile("a");
  const Regex copy = *first;
  first.reset();
  EXPECT_TRUE(copy.matches("a"));
}

}  // namespace
}  // namespace nexcage
