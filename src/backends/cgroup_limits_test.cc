#include "nexcage/backends/cgroup_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/backends/lxc/plan_testing.h"
#include "result_matchers.h"

namespace nexcage::backends {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const sys::CgroupLayout kV1 = lxc::facts_v1().cgroups;
const sys::CgroupLayout kV2 = lxc::facts_v2().cgroups;

oci::Resources memory(std::optional<std::int64_t> limit, std::optional<std::int64_t> swap = {}) {
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{};
  resources.memory->limit = limit;
  resources.memory->swap = swap;
  return resources;
}

oci::Resources cpu(std::optional<std::int64_t> quota, std::optional<std::uint64_t> period) {
  oci::Resources resources;
  resources.cpu = oci::CpuLimits{};
  resources.cpu->quota = quota;
  resources.cpu->period = period;
  return resources;
}

/// "file=value" of each.
std::vector<std::string> plan(const oci::Resources& resources, const sys::CgroupLayout& layout,
                              const LimitsInForce& in_force = {}) {
  auto limits = plan_cgroup_limits(resources, layout, in_force);
  EXPECT_OK(limits);
  std::vector<std::string> texts;
  if (limits)
    for (const CgroupLimit& limit : *limits) texts.push_back(limit.file + "=" + limit.value);
  return texts;
}

LimitsInForce with_memory(std::int64_t limit, std::optional<std::int64_t> swap = {}) {
  LimitsInForce in_force;
  in_force.memory = limit;
  in_force.memory_swap = swap;
  return in_force;
}

TEST(CgroupLimits, SwapIsRaisedBeforeMemoryAndLoweredAfterIt) {
  EXPECT_THAT(plan(memory(200, 300), kV1, with_memory(100, 150)),
              ElementsAre("memory.memsw.limit_in_bytes=300", "memory.limit_in_bytes=200"));
  EXPECT_THAT(plan(memory(50, 80), kV1, with_memory(100, 150)),
              ElementsAre("memory.limit_in_bytes=50", "memory.memsw.limit_in_bytes=80"));
  EXPECT_THAT(plan(memory(200, -1), kV1, with_memory(100, 150)),
              ElementsAre("memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=200"));
}

TEST(CgroupLimits, NoLimitOfMemoryIsNoneOfSwapEither) {
  EXPECT_THAT(plan(memory(-1), kV1, with_memory(100, 150)),
              ElementsAre("memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=-1"));
  EXPECT_THAT(plan(memory(-1), kV1, with_memory(100)), ElementsAre("memory.limit_in_bytes=-1"))
      << "a kernel that does not count swap";
  EXPECT_THAT(plan(memory(-1), kV2), ElementsAre("memory.max=max", "memory.swap.max=max"));
}

TEST(CgroupLimits, MemoryAboveItsSwapLimitIsRefusedBeforeAnythingIsWritten) {
  const auto refused = plan_cgroup_limits(memory(200), kV1, with_memory(100, 150));
  EXPECT_ERROR(refused, Errc::InvalidConfig, HasSubstr("memory.limit"));
  EXPECT_THAT(refused.error().hint(), HasSubstr("swap"));
  EXPECT_ERROR(plan_cgroup_limits(memory({}, 50), kV1, with_memory(100, 150)), Errc::InvalidConfig,
               HasSubstr("memory.swap"));
}

TEST(CgroupLimits, Version2CountsSwapAloneFromTheLimitInForce) {
  EXPECT_THAT(plan(memory({}, 300), kV2, with_memory(100)), ElementsAre("memory.swap.max=200"));
  EXPECT_ERROR(plan_cgroup_limits(memory({}, 300), kV2, with_memory(-1)), Errc::InvalidConfig,
               HasSubstr("without a memory limit"));
}

TEST(CgroupLimits, MemoryInUseIsCheckedWhenAsked) {
  oci::Resources resources = memory(100);
  LimitsInForce in_force;
  in_force.memory_used = 150;
  EXPECT_THAT(plan(resources, kV2, in_force), ElementsAre("memory.max=100"));
  resources.memory->check_before_update = true;
  EXPECT_ERROR(plan_cgroup_limits(resources, kV2, in_force), Errc::InvalidConfig,
               HasSubstr("150 bytes are in use"));
}

TEST(CgroupLimits, AQuotaWithoutPeriodKeepsTheOneInForce) {
  LimitsInForce in_force;
  in_force.cpu_quota = 30000;
  in_force.cpu_period = 50000;
  EXPECT_THAT(plan(cpu(10000, {}), kV2, in_force), ElementsAre("cpu.max=10000 50000"));
  EXPECT_THAT(plan(cpu({}, 80000), kV2, in_force), ElementsAre("cpu.max=30000 80000"));
  EXPECT_THAT(plan(cpu(-1, {}), kV2, in_force), ElementsAre("cpu.max=max 50000"));
}

TEST(CgroupLimits, NeverMoreProcessorTimeInBetweenThanBeforeOrAfter) {
  LimitsInForce in_force;
  in_force.cpu_quota = 50000;
  in_force.cpu_period = 100000;
  EXPECT_THAT(plan(cpu(10000, 20000), kV1, in_force),
              ElementsAre("cpu.cfs_quota_us=10000", "cpu.cfs_period_us=20000"));
  EXPECT_THAT(plan(cpu(100000, 200000), kV1, in_force),
              ElementsAre("cpu.cfs_period_us=200000", "cpu.cfs_quota_us=100000"));
}

TEST(CgroupLimits, ZeroNamesNothing) {
  oci::Resources resources = memory(0, 0);
  resources.cpu = oci::CpuLimits{};
  resources.cpu->shares = 0;
  resources.cpu->quota = 0;
  resources.cpu->period = 0;
  resources.pids_limit = 0;
  resources.block_io = oci::BlockIo{};
  resources.block_io->weight = 0;
  EXPECT_THAT(plan(resources, sys::CgroupLayout{}), IsEmpty()) << "not even a controller is needed";
}

TEST(CgroupLimits, AWeightHasASecondFile) {
  oci::Resources resources;
  resources.block_io = oci::BlockIo{};
  resources.block_io->weight = 500;
  auto limits = plan_cgroup_limits(resources, kV1);
  ASSERT_OK(limits);
  EXPECT_EQ(limits->at(0).file, "blkio.weight");
  EXPECT_EQ(limits->at(0).or_file, "blkio.bfq.weight");
  EXPECT_EQ(limits->at(0).or_value, "500");
}

CgroupLimit limit(const std::string& file, const std::string& value) {
  return {file.substr(0, file.find('.')), false, file, value, "", "", ""};
}

TEST(ValueBefore, OfAPlainFileIsItsContent) {
  EXPECT_EQ(value_before(limit("pids.max", "5"), "max"), "max");
  EXPECT_EQ(value_before(limit("cpu.max", "1 2"), "max 100000"), "max 100000");
  EXPECT_EQ(value_before(limit("cpuset.cpus", "0"), ""), "\n");
  EXPECT_EQ(value_before(limit("memory.oom_control", "1"), "oom_kill_disable 0\nunder_oom 0"), "0");
}

TEST(ValueBefore, OfAFileWithALineADeviceIsThatLine) {
  EXPECT_EQ(value_before(limit("io.max", "8:0 rbps=5"), "7:0 rbps=1 wbps=max\n8:0 rbps=2 wbps=3"),
            "8:0 rbps=2 wbps=3");
  EXPECT_EQ(value_before(limit("io.max", "8:0 rbps=5"), ""), "8:0 rbps=max");
  EXPECT_EQ(value_before(limit("blkio.throttle.read_bps_device", "8:0 5"), ""), "8:0 0");
  EXPECT_EQ(value_before(limit("io.weight", "default 50"), "default 100\n8:0 200"), "default 100");
  EXPECT_EQ(value_before(limit("io.weight", "8:16 50"), "default 100"), "8:16 default");
}

}  // namespace
}  // namespace nexcage::backends
