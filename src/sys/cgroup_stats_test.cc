#include "nexcage/sys/cgroup_stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Directories that look like one cgroup's.
class CgroupStatsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto dir = TempDir::create("/tmp", "cgroup-stats");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
  }

  void hierarchy(int id, std::vector<std::string> controllers) {
    const std::string path = dir_->path() + "/" + std::to_string(id);
    std::filesystem::create_directory(path);
    layout_.hierarchies.push_back(
        {.id = id, .controllers = std::move(controllers), .mount_point = path});
  }
  void file(int id, const std::string& name, const std::string& text) {
    std::ofstream(dir_->path() + "/" + std::to_string(id) + "/" + name) << text << "\n";
  }

  CgroupLayout layout_;

 private:
  std::optional<TempDir> dir_;
};

TEST_F(CgroupStatsTest, Version1) {
  hierarchy(1, {"cpu"});
  hierarchy(2, {"cpuacct"});
  hierarchy(3, {"memory"});
  hierarchy(4, {"pids"});
  hierarchy(5, {"blkio"});
  hierarchy(6, {"cpuset"});
  hierarchy(7, {"hugetlb"});
  file(1, "cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 300");
  file(2, "cpuacct.usage", "1234");
  file(2, "cpuacct.stat", "user " + std::to_string(sysconf(_SC_CLK_TCK)) + "\nsystem 0");
  file(2, "cpuacct.usage_percpu", "1000 234 ");
  file(2, "cpuacct.usage_all", "cpu user system\n0 900 100\n1 34 200");
  file(3, "memory.stat", "cache 8\nrss 9");
  file(3, "memory.limit_in_bytes", "100");
  file(3, "memory.usage_in_bytes", "50");
  file(3, "memory.max_usage_in_bytes", "60");
  file(3, "memory.failcnt", "1");
  file(3, "memory.memsw.limit_in_bytes", "200");
  file(3, "memory.memsw.usage_in_bytes", "51");
  file(4, "pids.current", "3");
  file(4, "pids.max", "max");
  file(5, "blkio.throttle.io_service_bytes_recursive", "8:0 Read 12\n8:0 Write 1\nTotal 13");
  file(6, "cpuset.cpus", "0-1");
  file(6, "cpuset.sched_relax_domain_level", "-1");
  file(7, "hugetlb.2MB.usage_in_bytes", "7");
  file(7, "hugetlb.2MB.rsvd.usage_in_bytes", "9");
  const auto stats = read_cgroup_stats(layout_);
  ASSERT_OK(stats);
  EXPECT_EQ(stats->cpu.total, 1234u);
  EXPECT_EQ(stats->cpu.user, 1'000'000'000u);
  EXPECT_THAT(stats->cpu.per_cpu, ElementsAre(1000, 234));
  EXPECT_THAT(stats->cpu.per_cpu_user, ElementsAre(900, 34));
  EXPECT_THAT(stats->cpu.per_cpu_kernel, ElementsAre(100, 200));
  EXPECT_EQ(stats->cpu.throttled_time, 300u);
  EXPECT_EQ(stats->memory.cache, 8u);
  EXPECT_EQ(stats->memory.usage.max, 60u);
  EXPECT_EQ(stats->memory.swap->limit, 200u);
  EXPECT_FALSE(stats->memory.kernel) << "this kernel counts none";
  EXPECT_EQ(stats->pids.current, 3u);
  EXPECT_EQ(stats->pids.limit, 0u);
  EXPECT_THAT(stats->block.bytes,
              ElementsAre(BlockEntry{8, 0, "Read", 12}, BlockEntry{8, 0, "Write", 1}));
  ASSERT_TRUE(stats->cpuset);
  EXPECT_EQ(stats->cpuset->cpus, "0-1");
  EXPECT_EQ(stats->cpuset->values.at("sched_relax_domain_level"), -1);
  ASSERT_EQ(stats->hugepages.size(), 1u);
  EXPECT_EQ(stats->hugepages.at("2MB").usage, 7u);
}

TEST_F(CgroupStatsTest, Version2) {
  hierarchy(0, {"cpu", "memory", "pids", "io", "hugetlb", "cpuset"});
  file(0, "cpu.stat",
       "usage_usec 10\nuser_usec 4\nsystem_usec 6\nnr_periods 1\n"
       "nr_throttled 1\nthrottled_usec 2");
  file(0, "memory.stat", "anon 5\nfile 7");
  file(0, "memory.current", "50");
  file(0, "memory.max", "100");
  file(0, "memory.peak", "70");
  file(0, "memory.events", "low 0\nmax 4\noom 1\noom_kill 1");
  file(0, "memory.swap.current", "3");
  file(0, "memory.swap.max", "max");
  file(0, "pids.current", "3");
  file(0, "pids.max", "9");
  file(0, "io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:0 \n");
  file(0, "hugetlb.1GB.current", "5");
  file(0, "hugetlb.1GB.events", "max 2");
  const auto stats = read_cgroup_stats(layout_);
  ASSERT_OK(stats);
  EXPECT_EQ(stats->cpu.total, 10'000u);
  EXPECT_EQ(stats->cpu.kernel, 6'000u);
  EXPECT_EQ(stats->cpu.throttled_time, 2'000u);
  EXPECT_EQ(stats->memory.cache, 7u);
  EXPECT_EQ(stats->memory.usage.limit, 100u);
  EXPECT_EQ(stats->memory.usage.max, 70u);
  EXPECT_EQ(stats->memory.usage.failcnt, 4u);
  EXPECT_EQ(stats->memory.swap->limit, kNoLimit);
  EXPECT_EQ(stats->memory.swap->usage, 53u) << "memory and swap together, as on version 1";
  EXPECT_EQ(stats->pids.limit, 9u);
  EXPECT_THAT(stats->block.bytes,
              ElementsAre(BlockEntry{8, 0, "Read", 1}, BlockEntry{8, 0, "Write", 2},
                          BlockEntry{8, 0, "Discard", 0}));
  EXPECT_EQ(stats->block.operations.size(), 3u);
  EXPECT_FALSE(stats->cpuset) << "version 1 only";
  EXPECT_EQ(stats->hugepages.at("1GB").failcnt, 2u);
}

TEST_F(CgroupStatsTest, AContainerThatIsGoneHasNone) {
  hierarchy(0, {"memory"});
  layout_.hierarchies[0].mount_point += "/gone";
  EXPECT_ERROR(read_cgroup_stats(layout_), Errc::InvalidState, HasSubstr("gone"));
}

TEST(CgroupDirs, AreBelowEachMountPoint) {
  CgroupLayout layout;
  layout.hierarchies = {{.id = 1, .controllers = {"cpu"}, .mount_point = "/c/cpu"},
                        {.id = 0, .controllers = {}, .mount_point = "/c/unified"}};
  const CgroupLayout dirs = cgroup_dirs(layout, "nexcage/web");
  EXPECT_EQ(dirs.hierarchies[0].mount_point, "/c/cpu/nexcage/web");
  EXPECT_EQ(dirs.hierarchies[1].mount_point, "/c/unified/nexcage/web");
}

TEST(ParseBlock, OddLinesDoNotCount) {
  EXPECT_THAT(parse_block_v1("Total 3\nx:y Read 1\n\n8:16 77"),
              ElementsAre(BlockEntry{8, 16, "", 77}));
}

TEST(ParseNetDev, LeavesOutLoAndTheHeading) {
  const auto all = parse_net_dev(
      "Inter-|   Receive |  Transmit\n face |bytes packets errs drop|bytes\n"
      "    lo:  1 1 0 0 0 0 0 0  1 1 0 0 0 0 0 0\n"
      "  eth0: 10 2 3 4 0 0 0 0 50 6 7 8 0 0 0 0\n");
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].name, "eth0");
  EXPECT_EQ(all[0].rx_bytes, 10u);
  EXPECT_EQ(all[0].rx_dropped, 4u);
  EXPECT_EQ(all[0].tx_bytes, 50u);
  EXPECT_EQ(all[0].tx_errors, 7u);
}

TEST(NetworkCounters, OfOurOwnNamespaceAreNobodysElse) {
  const auto counters = read_network_counters(getpid());
  ASSERT_OK(counters);
  EXPECT_THAT(*counters, IsEmpty());
}

}  // namespace
}  // namespace nexcage::sys
