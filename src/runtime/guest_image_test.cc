// The distribution of a guest's image.
#include "nexcage/runtime/guest_image.h"

#include <gtest/gtest.h>

namespace nexcage::runtime {
namespace {

TEST(GuestImage, DistributionIsReadAsOsReleaseMayBeWritten) {
  EXPECT_EQ(os_id("NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n"), "debian");
  EXPECT_EQ(os_id("ID=\"centos\"\nID_LIKE=\"rhel fedora\"\n"), "centos");
  EXPECT_EQ(os_id("ID='alpine'"), "alpine");
  EXPECT_EQ(os_id("ID=\"opensuse-leap\"\n"), "opensuse");
  EXPECT_EQ(os_id("ID=opensuse-tumbleweed\n"), "opensuse");
  EXPECT_EQ(os_id("ID=\"\n"), "\"");
  EXPECT_EQ(os_id("ID_LIKE=debian\n"), "");
  EXPECT_EQ(os_id(""), "");
}

}  // namespace
}  // namespace nexcage::runtime
