#include "nexcage/backends/lxc/systemd_unit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/backends/lxc/plan_testing.h"
#include "result_matchers.h"

namespace nexcage::backends::lxc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

std::vector<std::string> limits_of(const oci::Resources& resources, const HostFacts& facts) {
  auto limits = plan_cgroup_limits(resources, facts.cgroups);
  EXPECT_OK(limits);
  auto lines = limits ? plan_unit_limits(*limits) : std::vector<std::string>();
  EXPECT_OK(lines);
  return lines ? *lines : std::vector<std::string>();
}

TEST(SystemdUnit, NameAndPlace) {
  auto unit = parse_systemd_unit("machine.slice:libpod:c1", "x");
  ASSERT_OK(unit);
  EXPECT_EQ(unit->slice, "machine.slice");
  EXPECT_EQ(unit->name, "libpod-c1.scope");
  EXPECT_EQ(unit->cgroup, "machine.slice/libpod-c1.scope");
  EXPECT_EQ(parse_systemd_unit("", "web1")->cgroup, "system.slice/nexcage-web1.scope");
  EXPECT_EQ(parse_systemd_unit("::web1", "x")->cgroup, "system.slice/web1.scope");
  EXPECT_EQ(parse_systemd_unit("a-b-c.slice:p:n", "x")->cgroup,
            "a.slice/a-b.slice/a-b-c.slice/p-n.scope");
  EXPECT_EQ(parse_systemd_unit("-.slice:p:n", "x")->cgroup, "p-n.scope");
}

TEST(SystemdUnit, OtherFormsAreRefused) {
  for (const char* path : {"/a/b", "a:b", "a.slice:b:", "a.slice:b:c:d", "a:b:c", "a--b.slice:b:c",
                           "-a.slice:b:c", "a.slice:b:../c", "a/../b.slice:b:c"}) {
    SCOPED_TRACE(path);
    EXPECT_ERROR(parse_systemd_unit(path, "x"), Errc::InvalidConfig, HasSubstr("cgroupsPath"));
  }
  EXPECT_ERROR(parse_systemd_unit("a.slice:b:c.slice", "x"), Errc::Unsupported, HasSubstr("slice"));
}

TEST(SystemdUnit, LimitsOfBothVersions) {
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{};
  resources.memory->limit = 64 << 20;
  resources.pids_limit = 50;
  resources.cpu = oci::CpuLimits{};
  resources.cpu->quota = 50'500;
  resources.cpu->period = 100'000;
  resources.cpu->cpus = "0,9";
  EXPECT_THAT(
      limits_of(resources, facts_v2()),
      ElementsAre("MemoryMax t 67108864", "AllowedCPUs ay 0102000000000000", "TasksMax t 50",
                  "CPUQuotaPeriodUSec t 100000", "CPUQuotaPerSecUSec t 510000"));
  EXPECT_THAT(limits_of(resources, facts_v1()),
              ElementsAre("MemoryMax t 67108864", "TasksMax t 50", "CPUQuotaPeriodUSec t 100000",
                          "CPUQuotaPerSecUSec t 510000"));
}

TEST(SystemdUnit, NoLimitIsTheLargestNumber) {
  oci::Resources resources;
  resources.pids_limit = -1;
  resources.cpu = oci::CpuLimits{};
  resources.cpu->quota = -1;
  resources.unified = {{"memory.high", "1048576"}};
  EXPECT_THAT(
      limits_of(resources, facts_v2()),
      ElementsAre("TasksMax t 18446744073709551615", "MemoryHigh t 1048576",
                  "CPUQuotaPeriodUSec t 100000", "CPUQuotaPerSecUSec t 18446744073709551615"));
}

sys::DeviceRule rule(bool allow, char type, std::optional<std::int64_t> major,
                     std::optional<std::int64_t> minor, const char* access) {
  return {.allow = allow, .type = type, .major = major, .minor = minor, .access = access};
}
constexpr std::string_view kDevices =
    "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  1 ram\n  8 sd\n";

TEST(SystemdUnit, DevicesAsAListOfWhatIsAllowed) {
  EXPECT_THAT(plan_unit_devices({}, kDevices), Optional(IsEmpty()));
  EXPECT_THAT(plan_unit_devices({rule(true, 'a', {}, {}, "rwm")}, kDevices), Optional(IsEmpty()));
  EXPECT_THAT(
      plan_unit_devices({rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', {}, {}, "m"),
                         rule(true, 'c', 1, 3, "rwm"), rule(true, 'c', 136, {}, "rwm"),
                         rule(true, 'b', 8, {}, "r"), rule(true, 'b', 77, {}, "rwm")},
                        kDevices),
      Optional(ElementsAre("DevicePolicy s strict", "DeviceAllow a(ss) char-* m",
                           "DeviceAllow a(ss) /dev/char/1:3 rwm", "DeviceAllow a(ss) char-pts rwm",
                           "DeviceAllow a(ss) block-sd r")));
}

TEST(SystemdUnit, AnExceptionToWhatIsAllowedHasNoProperty) {
  EXPECT_EQ(plan_unit_devices({rule(false, 'c', 1, 11, "rwm")}, kDevices), std::nullopt);
  EXPECT_EQ(plan_unit_devices({rule(false, 'a', {}, {}, "w")}, kDevices), std::nullopt);
  EXPECT_EQ(
      plan_unit_devices({rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', {}, 3, "r")}, kDevices),
      std::nullopt);
}

}  // namespace
}  // namespace nexcage::backends::lxc
