#include "nexcage/sys/caps.h"

#include <linux/capability.h>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using testing::HasSubstr;

TEST(Caps, names_lead_to_the_kernels_numbers_and_back) {
  EXPECT_EQ(capability_from_name("CAP_CHOWN"), CAP_CHOWN);
  EXPECT_EQ(capability_from_name("cap_sys_admin"), CAP_SYS_ADMIN);
  EXPECT_EQ(capability_from_name("kill"), CAP_KILL);
  EXPECT_EQ(capability_from_name("Net_Raw"), CAP_NET_RAW);
  EXPECT_EQ(capability_from_name("CAP_AUDIT_READ"), CAP_AUDIT_READ);
  EXPECT_EQ(capability_from_name("CAP_CHECKPOINT_RESTORE"), CAP_CHECKPOINT_RESTORE);
  for (int number = 0; number < capability_count(); ++number)
    EXPECT_EQ(capability_from_name(capability_name(number)), number);
  EXPECT_EQ(capability_count(), CAP_LAST_CAP + 1);
}

TEST(Caps, unknown_names_and_numbers_have_no_counterpart) {
  for (const char* name : {"", "CAP_", "CAP_NONE", "CAP_CAP_KILL", "CAP_KILL "})
    EXPECT_EQ(capability_from_name(name), std::nullopt) << name;
  EXPECT_EQ(capability_name(-1), "");
  EXPECT_EQ(capability_name(capability_count()), "");
}

TEST(Caps, sets_are_read_from_a_status_file) {
  auto sets = parse_capabilities(
      "Name:\tCapEff: 1\nCapInh:\t0000000000000001\nCapPrm:\t000001fffeffffff\n"
      "CapEff:\t0000000000000020\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000400\n");
  ASSERT_OK(sets);
  EXPECT_EQ(sets->inheritable, 1u);
  EXPECT_EQ(sets->permitted, 0x1fffeffffffull);
  EXPECT_EQ(sets->effective, CapSet{1} << CAP_KILL);
  EXPECT_EQ(sets->bounding, 0x1ffffffffffull);
  EXPECT_EQ(sets->ambient, CapSet{1} << CAP_NET_BIND_SERVICE);
}

TEST(Caps, a_status_without_them_is_an_error) {
  EXPECT_ERROR(parse_capabilities(""), Errc::FileError, HasSubstr("CapBnd"));
  EXPECT_ERROR(parse_capabilities("CapBnd:\txyz\n"), Errc::FileError, HasSubstr("CapBnd"));
}

TEST(Caps, our_own_are_what_the_kernel_says) {
  auto sets = own_capabilities();
  ASSERT_OK(sets);
  EXPECT_EQ(sets->effective & ~sets->permitted, 0u);
  EXPECT_EQ(sets->ambient & ~sets->inheritable, 0u);
}

}  // namespace
}  // namespace nexcage::sys
