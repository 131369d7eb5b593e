#include "nexcage/backends/lxc/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "result_matchers.h"

namespace nexcage::backends::lxc {
namespace {

using ::testing::HasSubstr;

bool in_table(const std::string& pointer) {
  return std::ranges::any_of(fields(), [&](const Field& field) {
    // A row speaks for what lies below it; a path above a row is only a group.
    const std::string row(field.pointer);
    return pointer == row || pointer.starts_with(row + ".") || row.starts_with(pointer + ".");
  });
}

void walk(const json::Value& value, const std::string& at, std::set<std::string>& missing) {
  if (const json::Array* array = value.if_array()) {
    for (const json::Value& item : *array) walk(item, at, missing);
    return;
  }
  const json::Object* object = value.if_object();
  if (object == nullptr) return;
  for (const auto& [name, member] : *object) {
    const std::string pointer = at.empty() ? name : at + "." + name;
    if (!in_table(pointer)) missing.insert(pointer);
    walk(member, pointer, missing);
  }
}

TEST(Fields, EveryFieldOfTheDefaultSpecIsInTheTable) {
  std::set<std::string> missing;
  walk(oci::to_json(oci::default_spec()), "", missing);
  EXPECT_THAT(missing, ::testing::IsEmpty());
}

TEST(Fields, NoRowTwice) {
  std::set<std::string_view> seen;
  for (const Field& field : fields())
    EXPECT_TRUE(seen.insert(field.pointer).second) << field.pointer;
}

TEST(Fields, EveryRefusedRowHasItsTest) {
  for (const Field& field : fields())
    EXPECT_EQ(field.applied == Applied::refused, field.used != nullptr) << field.pointer;
}

TEST(Fields, RefusesByName) {
  oci::Spec spec = oci::default_spec();
  EXPECT_OK(check_fields(spec));
  spec.linux_->intel_rdt = oci::IntelRdt{};
  EXPECT_ERROR(check_fields(spec), Errc::Unsupported, HasSubstr("linux.intelRdt"));
  spec = oci::default_spec();
  spec.linux_->personality = oci::Personality{.domain = "LINUX", .flags = {"FLAG"}};
  EXPECT_ERROR(check_fields(spec), Errc::Unsupported, HasSubstr("linux.personality.flags"));
}

}  // namespace
}  // namespace nexcage::backends::lxc
