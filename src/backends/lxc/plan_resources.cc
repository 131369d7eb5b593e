// linux.resources as liblxc configuration: the device rules, and the limits that all backends with
// cgroups of their own share.
#include <algorithm>

#include "nexcage/backends/cgroup_limits.h"
#include "nexcage/backends/lxc/plan.h"

namespace nexcage::backends::lxc {
namespace {

/// What every container may use whatever the list says: making nodes, the standard devices and
/// terminals (config-linux.md, "Default Devices"; runc's list).
constexpr std::string_view kAllowedDevices[] = {
    "c *:* m",   "b *:* m",   "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",
    "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm",
};

std::string rule_text(const oci::DeviceRule& rule, char type) {
  auto number = [](const std::optional<std::int64_t>& value) {
    return value && *value >= 0 ? std::to_string(*value) : "*";
  };
  return std::string(1, type) + " " + number(rule.major) + ":" + number(rule.minor) + " " +
         (rule.access.empty() ? "rwm" : rule.access);
}

/// The rules allow exactly this, and no later one takes anything away.
bool stands(const std::vector<oci::DeviceRule>& rules, std::string_view allowed) {
  bool found = false;
  for (const oci::DeviceRule& rule : rules)
    found = rule.allow && (found || rule_text(rule, rule.type) == allowed);
  return found;
}

Result<> plan_device_rules(const std::vector<oci::DeviceRule>& rules, const HostFacts& facts,
                           std::vector<ConfigLine>& out) {
  if (rules.empty()) return {};
  // Version 2 has no such controller: liblxc loads a BPF program instead.
  const bool v2 = facts.cgroups.mode() == sys::CgroupMode::v2;
  if (!v2 && facts.cgroups.with("devices") == nullptr)
    return fail(Errc::Unsupported,
                "linux.resources.devices: this host has no cgroup controller \"devices\"");
  const auto add = [&](bool allow, const std::string& rule) {
    out.emplace_back(std::string(v2 ? "lxc.cgroup2" : "lxc.cgroup") +
                         (allow ? ".devices.allow" : ".devices.deny"),
                     rule);
  };
  for (const oci::DeviceRule& rule : rules) {
    // The kernel and liblxc read "a" as all devices and forget the rest: numbers need a type.
    if (rule.type == 'a' && (rule.major || rule.minor))
      for (char type : {'b', 'c'}) add(rule.allow, rule_text(rule, type));
    else
      add(rule.allow, rule_text(rule, rule.type));
  }
  // liblxc reads the whole list back for each line: none is written twice.
  for (std::string_view allowed : kAllowedDevices)
    if (!stands(rules, allowed)) add(true, std::string(allowed));
  return {};
}

}  // namespace

Result<> plan_resources(const oci::Resources& resources, const HostFacts& facts,
                        std::vector<ConfigLine>& out) {
  NX_CHECK(plan_device_rules(resources.devices, facts, out));
  NX_TRY(const std::vector<CgroupLimit> limits, plan_cgroup_limits(resources, facts.cgroups));
  for (const CgroupLimit& limit : limits)
    out.emplace_back((limit.v2 ? "lxc.cgroup2." : "lxc.cgroup.") + limit.file, limit.value);
  return {};
}

}  // namespace nexcage::backends::lxc
