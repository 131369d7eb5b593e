#include "nexcage/backends/lxc/exec_cgroups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::backends::lxc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(SubCgroups, APathForAllOrOneForEachController) {
  EXPECT_THAT(*parse_sub_cgroups({"/a//b/"}), ElementsAre(Pair("", "a/b")));
  EXPECT_THAT(*parse_sub_cgroups({"cpu,cpuacct:x", "memory:/y"}),
              ElementsAre(Pair("cpu", "x"), Pair("cpuacct", "x"), Pair("memory", "y")));
  EXPECT_TRUE(parse_sub_cgroups({})->empty());
}

TEST(SubCgroups, NeverAboveTheContainersOwn) {
  EXPECT_THAT(*parse_sub_cgroups({"../../x"}), ElementsAre(Pair("", "x")));
  for (const char* word : {"", "/", "..", "memory:", "a:b:c", ",:x"})
    EXPECT_ERROR(parse_sub_cgroups({word}), Errc::InvalidSpec, HasSubstr("--cgroup"));
  EXPECT_ERROR(parse_sub_cgroups({"memory:a", "b"}), Errc::InvalidSpec, HasSubstr("controller"));
}

}  // namespace
}  // namespace nexcage::backends::lxc
