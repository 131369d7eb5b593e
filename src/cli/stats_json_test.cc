#include "nexcage/cli/stats_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nexcage::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(StatsJson, has_the_shape_of_runcs) {
  const std::string text = json::dump(stats_json({}, {}));
  EXPECT_EQ(
      text,
      R"({"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},"cpuset":{"cpu_exclusive":0,)"
      R"("mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,)"
      R"("memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,)"
      R"("sched_relax_domain_level":0},"memory":{"usage":{"limit":0,"failcnt":0},)"
      R"("swap":{"limit":0,"failcnt":0},"kernel":{"limit":0,"failcnt":0},)"
      R"("kernelTCP":{"limit":0,"failcnt":0}},"pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},)"
      R"("network_interfaces":null})");
}

TEST(StatsJson, fills_in_what_was_counted) {
  sys::CgroupStats stats;
  stats.cpu.total = 9;
  stats.cpu.per_cpu = {4, 5};
  stats.cpuset = sys::CpusetStats{.cpus = "0-1", .mems = "0", .values = {{"mem_hardwall", 1}}};
  stats.memory.usage.limit = sys::kNoLimit;
  stats.memory.raw["rss"] = 0;
  stats.pids.current = 2;
  stats.block.bytes = {{8, 0, "Read", 7}};
  stats.hugepages["2MB"].usage = 3;
  const std::string text = json::dump(stats_json(stats, {{.name = "eth0", .rx_bytes = 1}}));
  EXPECT_THAT(text, HasSubstr(R"("usage":{"total":9,"percpu":[4,5],"kernel":0,"user":0})"));
  EXPECT_THAT(text, HasSubstr(R"("cpuset":{"cpus":[0,1],"cpu_exclusive":0,"mems":[0],)"));
  EXPECT_THAT(text, HasSubstr(R"("mem_hardwall":1)"));
  EXPECT_THAT(text, HasSubstr(R"("limit":18446744073709551615)"));
  EXPECT_THAT(text, HasSubstr(R"("raw":{"rss":0})"));
  EXPECT_THAT(text, HasSubstr(R"("pids":{"current":2})"));
  EXPECT_THAT(text, HasSubstr(R"("ioServiceBytesRecursive":[{"major":8,"op":"Read","value":7}])"));
  EXPECT_THAT(text, HasSubstr(R"("hugetlb":{"2MB":{"usage":3,"failcnt":0}})"));
  EXPECT_THAT(text, HasSubstr(R"([{"Name":"eth0","RxBytes":1,)"));
}

TEST(EventLine, an_event_without_data_has_no_member_for_it) {
  EXPECT_EQ(event_line("oom", "c1", {}), "{\"type\":\"oom\",\"id\":\"c1\"}\n");
}

TEST(ExpandList, single_numbers_and_ranges) {
  EXPECT_THAT(expand_list("0-2,7"), ElementsAre(0, 1, 2, 7));
  EXPECT_THAT(expand_list(""), IsEmpty());
  EXPECT_THAT(expand_list("3-1"), IsEmpty());
  EXPECT_THAT(expand_list("0-99999999999"), IsEmpty());
}

}  // namespace
}  // namespace nexcage::cli
