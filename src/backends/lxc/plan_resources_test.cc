#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "nexcage/backends/lxc/exec.h"
#include "nexcage/backends/lxc/plan.h"
#include "nexcage/backends/lxc/plan_testing.h"
#include "result_matchers.h"

namespace nexcage::backends::lxc {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;

/// File and value of each limit, "cgroup2." before those of version 2.
std::vector<ConfigLine> lines_of(const CreatePlan& plan) {
  std::vector<ConfigLine> out;
  out.reserve(plan.cgroup_limits.size());
  for (const CgroupLimit& limit : plan.cgroup_limits)
    out.emplace_back((limit.v2 ? "cgroup2." : "cgroup.") + limit.file, limit.value);
  return out;
}

TEST(Resources, Version1) {
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.limit = 100,
                                       .reservation = 50,
                                       .swap = 150,
                                       .kernel = {},
                                       .kernel_tcp = {},
                                       .swappiness = 10,
                                       .disable_oom_killer = true,
                                       .use_hierarchy = {},
                                       .check_before_update = {}};
  resources.cpu = oci::CpuLimits{};
  resources.cpu->shares = 1024;
  resources.cpu->quota = 5000;
  resources.cpu->period = 10000;
  resources.cpu->cpus = "0-1";
  resources.pids_limit = -1;
  CreatePlan plan;
  ASSERT_OK(plan_resources(resources, facts_v1(), plan));
  EXPECT_THAT(
      lines_of(plan),
      ::testing::ElementsAre(
          Pair("cgroup.memory.limit_in_bytes", "100"),
          Pair("cgroup.memory.memsw.limit_in_bytes", "150"),
          Pair("cgroup.memory.soft_limit_in_bytes", "50"), Pair("cgroup.memory.swappiness", "10"),
          Pair("cgroup.memory.oom_control", "1"), Pair("cgroup.cpu.shares", "1024"),
          Pair("cgroup.cpu.cfs_period_us", "10000"), Pair("cgroup.cpu.cfs_quota_us", "5000"),
          Pair("cgroup.cpuset.cpus", "0-1"), Pair("cgroup.pids.max", "max")));
}

TEST(Resources, Version2) {
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{};
  resources.memory->limit = 100;
  resources.memory->reservation = 50;
  resources.memory->swap = 150;
  resources.memory->disable_oom_killer = false;
  resources.cpu = oci::CpuLimits{};
  resources.cpu->shares = 1024;
  resources.cpu->quota = -1;
  resources.pids_limit = 5;
  resources.block_io = oci::BlockIo{};
  resources.block_io->weight = 1000;
  resources.block_io->read_bps = {{.major = 8, .minor = 0, .rate = 7}};
  resources.hugepage_limits = {{.page_size = "2MB", .limit = 4}};
  resources.unified["memory.high"] = "9";
  CreatePlan plan;
  ASSERT_OK(plan_resources(resources, facts_v2(), plan));
  EXPECT_THAT(lines_of(plan),
              ::testing::ElementsAre(
                  Pair("cgroup2.memory.max", "100"), Pair("cgroup2.memory.low", "50"),
                  Pair("cgroup2.memory.swap.max", "50"), Pair("cgroup2.cpu.weight", "39"),
                  Pair("cgroup2.cpu.max", "max 100000"), Pair("cgroup2.pids.max", "5"),
                  Pair("cgroup2.io.weight", "default 10000"), Pair("cgroup2.io.max", "8:0 rbps=7"),
                  Pair("cgroup2.hugetlb.2MB.max", "4"), Pair("cgroup2.memory.high", "9")));
}

TEST(Resources, WhatTheHostCannotDoIsRefusedByName) {
  CreatePlan plan;
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{};
  resources.memory->swappiness = 1;
  EXPECT_ERROR(plan_resources(resources, facts_v2(), plan), Errc::Unsupported,
               HasSubstr("memory.swappiness"));
  resources = {};
  resources.unified["memory.max"] = "1";
  EXPECT_ERROR(plan_resources(resources, facts_v1(), plan), Errc::Unsupported,
               HasSubstr("unified"));
  resources = {};
  resources.hugepage_limits = {{.page_size = "2MB", .limit = 4}};
  EXPECT_ERROR(plan_resources(resources, facts_v1(), plan), Errc::Unsupported,
               HasSubstr("hugetlb"));
  resources = {};
  resources.memory = oci::MemoryLimits{};
  resources.memory->swap = 5;
  EXPECT_ERROR(plan_resources(resources, facts_v2(), plan), Errc::InvalidConfig, HasSubstr("swap"));
}

TEST(Resources, DeviceRulesKeepTheStandardDevices) {
  CreatePlan plan;
  oci::Resources resources;
  resources.devices = {{.allow = false, .type = 'a', .major = {}, .minor = {}, .access = "rwm"},
                       {.allow = true, .type = 'b', .major = 8, .minor = {}, .access = "r"}};
  ASSERT_OK(plan_resources(resources, facts_v1(), plan));
  auto text = [](const sys::DeviceRule& rule) {
    return (rule.allow ? "allow " : "deny ") + sys::to_text(rule);
  };
  ASSERT_GT(plan.device_rules.size(), 2u);
  EXPECT_EQ(text(plan.device_rules[0]), "deny a *:* rwm");
  EXPECT_EQ(text(plan.device_rules[1]), "allow b 8:* r");
  EXPECT_THAT(plan.device_rules,
              Contains(sys::DeviceRule{
                  .allow = true, .type = 'c', .major = 1, .minor = 3, .access = "rwm"}));
  CreatePlan second;
  ASSERT_OK(plan_resources(resources, facts_v2(), second));
  EXPECT_EQ(second.device_rules, plan.device_rules);
}

TEST(Resources, ADeviceRuleIsNotWrittenTwice) {
  oci::Resources resources;
  oci::DeviceRule null{.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "rwm"};
  oci::DeviceRule nothing{.allow = false, .type = 'a', .major = {}, .minor = {}, .access = "rwm"};
  auto count = [&] {
    CreatePlan plan;
    EXPECT_OK(plan_resources(resources, facts_v1(), plan));
    return std::ranges::count(
        plan.device_rules,
        sys::DeviceRule{.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "rwm"});
  };
  resources.devices = {nothing, null};
  EXPECT_EQ(count(), 1);
  resources.devices = {null, nothing};
  EXPECT_EQ(count(), 2) << "taken away in between";
}

TEST(ProcessPlan, CapabilitiesAsNumbers) {
  oci::Spec spec = small_spec();
  spec.process->capabilities = oci::Capabilities{.bounding = {"CAP_KILL"},
                                                 .effective = {},
                                                 .inheritable = {"CAP_KILL"},
                                                 .permitted = {"CAP_KILL", "CAP_CHOWN"},
                                                 .ambient = {"CAP_KILL", "CAP_CHOWN"}};
  auto process = plan_process({.process = *spec.process}, facts_v1());
  ASSERT_OK(process);
  EXPECT_EQ(process->bounding, 0x20u);
  EXPECT_EQ(process->permitted, 0x21u);
  EXPECT_EQ(process->ambient, 0x20u) << "only what is permitted and inheritable";
  EXPECT_TRUE(process->set_capabilities);
}

TEST(ProcessPlan, LabelsNeedTheirKernel) {
  oci::Spec spec = small_spec();
  spec.process->apparmor_profile = "p";
  HostFacts facts = facts_v1();
  EXPECT_ERROR(plan_process({.process = *spec.process}, facts), Errc::Unsupported,
               HasSubstr("AppArmor"));
  facts.apparmor = true;
  EXPECT_EQ(plan_process({.process = *spec.process}, facts)->label, "exec p");
  spec.process->apparmor_profile.clear();
  spec.process->selinux_label = "l";
  EXPECT_ERROR(plan_process({.process = *spec.process}, facts), Errc::Unsupported,
               HasSubstr("SELinux"));
}

TEST(ProcessPlan, SchedulingAndMemoryPolicy) {
  oci::Spec spec = small_spec();
  spec.process->io_priority = oci::IoPriority{.io_class = "IOPRIO_CLASS_BE", .priority = 4};
  spec.process->scheduler = oci::Scheduler{};
  spec.process->scheduler->policy = "SCHED_BATCH";
  spec.process->scheduler->nice = 5;
  spec.linux_->memory_policy =
      oci::MemoryPolicy{.mode = "MPOL_BIND", .nodes = "0,9-10", .flags = {}};
  auto process =
      plan_process({.process = *spec.process, .linux_section = &*spec.linux_}, facts_v1());
  ASSERT_OK(process);
  EXPECT_EQ(process->io_priority, (2 << 13) | 4);
  EXPECT_EQ(process->scheduler.policy, 3u);
  EXPECT_EQ(process->memory_policy, 2u);
  EXPECT_EQ(process->memory_nodes, std::string("\x01\x06\0\0\0\0\0\0", 8));
}

TEST(ExecPlan, JoinsThenChecksThenWaits) {
  oci::Spec spec = small_spec();
  ExecRequest request;
  request.process = *spec.process;
  auto plan = plan_exec(spec, request, facts_v1(), 0x20000);
  ASSERT_OK(plan);
  EXPECT_EQ(sys::plan::describe(*plan),
            "new_keyring\njoin root_fd=1 flags=131072\ncheck_program\nwait_for_start\nprocess\n  "
            "args=[/bin/true]\n  cwd=/\n");
  request.cgroups = {"/.."};
  EXPECT_ERROR(plan_exec(spec, request, facts_v1(), 0), Errc::InvalidSpec, HasSubstr("--cgroup"));
}

}  // namespace
}  // namespace nexcage::backends::lxc
