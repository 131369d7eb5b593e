#include "nexcage/registry/secret.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace nexcage::registry {
namespace {

TEST(Secret, has_no_way_into_text_but_reveal) {
  static_assert(!std::is_convertible_v<Secret, std::string>);
  static_assert(!std::is_convertible_v<Secret, std::string_view>);
  static_assert(!std::is_convertible_v<std::string, Secret>);
  EXPECT_EQ(Secret("hunter2").reveal(), "hunter2");
}

TEST(Secret, moves_copies_and_compares) {
  const std::string long_text(100, 'x');
  Secret first(long_text);
  Secret copy = first;
  EXPECT_EQ(copy, first);
  Secret moved = std::move(first);
  EXPECT_EQ(moved.reveal(), long_text);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): what a moved-from secret holds
  Secret& alias = copy;
  copy = alias;
  EXPECT_EQ(copy, moved);
  copy = Secret("other");
  EXPECT_NE(copy, moved);
}

}  // namespace
}  // namespace nexcage::registry
