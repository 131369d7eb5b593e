#include "nexcage/toml/value.h"

#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::toml {
namespace {

using testing::StartsWith;

TEST(Toml, values_keep_type_and_line) {
  const auto table = parse("a = 'x'\nb = [1, true]\nd = 1979-05-27\n[[t]]\nk.l = 1.5\n", "f");
  ASSERT_OK(table);
  EXPECT_EQ(*find(*table, "a")->if_string(), "x");
  const Value* b = find(*table, "b");
  EXPECT_EQ(b->line, 2U);
  EXPECT_EQ(*b->if_array()->at(0).if_integer(), 1);
  EXPECT_TRUE(*b->if_array()->at(1).if_bool());
  EXPECT_EQ(find(*table, "d")->type, "a date or time");
  const Table* t = find(*table, "t")->if_array()->at(0).if_table();
  const Value* k = find(*t, "k");
  EXPECT_EQ(find(*k->if_table(), "l")->type, "a floating-point number");
  EXPECT_EQ(find(*table, "missing"), nullptr);
}

TEST(Toml, bad_syntax_names_file_and_line) {
  EXPECT_ERROR(parse("a = 1\nb = \n", "/etc/x.toml"), Errc::ConfigError,
               StartsWith("/etc/x.toml:2: "));
  EXPECT_ERROR(parse("a = 1\na = 2\n", "f"), Errc::ConfigError, StartsWith("f:2: "));
}

}  // namespace
}  // namespace nexcage::toml
