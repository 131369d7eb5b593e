// linux.resources: the limits that all backends with cgroups of their own share, and the device
// rules.
#include <algorithm>

#include "nexcage/backends/cgroup_limits.h"
#include "nexcage/backends/lxc/plan.h"

namespace nexcage::backends::lxc {
namespace {

using sys::DeviceRule;

/// What every container may use whatever the list says: making nodes, the standard devices and
/// terminals (config-linux.md, "Default Devices"; runc's list).
std::vector<DeviceRule> allowed_devices() {
  auto rule = [](char type, std::optional<std::int64_t> major, std::optional<std::int64_t> minor,
                 const char* access) {
    return DeviceRule{
        .allow = true, .type = type, .major = major, .minor = minor, .access = access};
  };
  return {rule('c', {}, {}, "m"),   rule('b', {}, {}, "m"), rule('c', 1, 3, "rwm"),
          rule('c', 1, 5, "rwm"),   rule('c', 1, 7, "rwm"), rule('c', 1, 8, "rwm"),
          rule('c', 1, 9, "rwm"),   rule('c', 5, 0, "rwm"), rule('c', 5, 2, "rwm"),
          rule('c', 136, {}, "rwm")};
}

DeviceRule rule_of(const oci::DeviceRule& rule, char type) {
  auto number = [](const std::optional<std::int64_t>& value) {
    return value && *value >= 0 ? value : std::nullopt;
  };
  return {.allow = rule.allow,
          .type = type,
          .major = number(rule.major),
          .minor = number(rule.minor),
          .access = rule.access.empty() ? "rwm" : rule.access};
}

/// The rules allow exactly this, and no later one takes anything away.
bool stands(const std::vector<DeviceRule>& rules, const DeviceRule& allowed) {
  bool found = false;
  for (const DeviceRule& rule : rules) found = rule.allow && (found || rule == allowed);
  return found;
}

Result<> plan_device_rules(const std::vector<oci::DeviceRule>& rules, const HostFacts& facts,
                           std::vector<DeviceRule>& out) {
  if (rules.empty()) return {};
  // Version 2 has no such controller: a BPF program takes its place.
  if (facts.cgroups.mode() != sys::CgroupMode::v2 && facts.cgroups.with("devices") == nullptr)
    return fail(Errc::Unsupported,
                "linux.resources.devices: this host has no cgroup controller \"devices\"");
  for (const oci::DeviceRule& rule : rules) {
    // The kernel reads "a" as all devices and forgets the rest: numbers need a type.
    if (rule.type == 'a' && (rule.major || rule.minor))
      for (char type : {'b', 'c'}) out.push_back(rule_of(rule, type));
    else
      out.push_back(rule_of(rule, rule.type));
  }
  const std::vector<DeviceRule> of_the_spec = out;
  for (const DeviceRule& allowed : allowed_devices())
    if (!stands(of_the_spec, allowed)) out.push_back(allowed);
  return {};
}

}  // namespace

Result<> plan_resources(const oci::Resources& resources, const HostFacts& facts, CreatePlan& out) {
  NX_CHECK(plan_device_rules(resources.devices, facts, out.device_rules));
  NX_TRY(out.cgroup_limits, plan_cgroup_limits(resources, facts.cgroups));
  return {};
}

}  // namespace nexcage::backends::lxc
