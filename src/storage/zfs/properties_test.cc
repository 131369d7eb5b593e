#include "nexcage/storage/zfs/properties.h"

#include "result_matchers.h"

namespace nexcage::storage::zfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ZfsProperties, become_assignments_in_their_order) {
  EXPECT_THAT(assignments({{"mountpoint", "legacy"}, {"org.nexcage:id", "web=1, 2"}, {"quota", ""}})
                  .value(),
              ElementsAre("mountpoint=legacy", "org.nexcage:id=web=1, 2", "quota="));
}

TEST(ZfsProperties, never_look_like_an_option_or_another_property) {
  for (const char* name :
       {"", "-r", "-o", "=", "a=b", "a b", "a,b", "Quota", ":x", "a\tb", "userquota@1"}) {
    EXPECT_ERROR(check_property_name(name), Errc::InvalidSpec, HasSubstr("no property's name"));
    EXPECT_ERROR(assignments({{name, "x"}}), Errc::InvalidSpec, HasSubstr("no property's name"));
  }
  EXPECT_OK(check_property_name(std::string(255, 'a')));
  EXPECT_ERROR(check_property_name(std::string(256, 'a')), Errc::InvalidSpec,
               HasSubstr("ZFS property"));
}

TEST(ZfsProperties, have_values_that_can_be_read_back) {
  for (const std::string& value :
       {std::string("a\nb"), std::string("\t"), std::string("a\0b", 3)}) {
    SCOPED_TRACE(value);
    EXPECT_ERROR(assignments({{"a:b", value}}), Errc::InvalidSpec, HasSubstr("control characters"));
  }
}

}  // namespace
}  // namespace nexcage::storage::zfs
