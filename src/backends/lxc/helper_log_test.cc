#include "nexcage/backends/lxc/helper_log.h"

#include <gtest/gtest.h>

namespace nexcage::backends::lxc {
namespace {

TEST(HelperLog, FirstErrorWithoutTimeAndPlace) {
  EXPECT_EQ(
      first_error(
          "lxc c 20240501120000.123 ERROR    cgfsng - ../src/lxc/cgroups/cgfsng.c:write:12 - "
          "No such file or directory - Failed to set \"blkio.weight\"\n"
          "lxc c 20240501120000.124 ERROR    start - ../src/lxc/start.c:lxc_spawn:1 - later\n"),
      "No such file or directory - Failed to set \"blkio.weight\"");
}

TEST(HelperLog, HarmlessAndOtherLinesAreNoErrors) {
  EXPECT_EQ(first_error(""), "");
  EXPECT_EQ(first_error("lxc c 1.2 WARN     conf - ../a.c:b:1 - something\n"), "");
  EXPECT_EQ(
      first_error(
          "lxc c 1.2 ERROR    conf - ../src/lxc/conf.c:lxc_transient_proc:3849 - No such file or "
          "directory - Failed to mount temporary procfs\n"),
      "");
  EXPECT_EQ(first_error("ERROR"), "");
}

}  // namespace
}  // namespace nexcage::backends::lxc
