// A container's cgroup as a transient scope of systemd: its name and place, and its properties.
// What is asked of systemd as well as written to the cgroup's files survives a daemon-reload.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/backends/cgroup_limits.h"
#include "nexcage/base/error.h"
#include "nexcage/sys/device_rules.h"

namespace nexcage::backends::lxc {

struct SystemdUnit {
  std::string slice;   // "system.slice"
  std::string name;    // "nexcage-web1.scope"
  std::string cgroup;  // "system.slice/nexcage-web1.scope", below systemd's own root
};

/// From linux.cgroupsPath as SLICE:PREFIX:NAME; without one system.slice:nexcage:{id}.
/// InvalidConfig for another form.
Result<SystemdUnit> parse_systemd_unit(const std::string& cgroups_path, const std::string& id);

/// Limits as lines of libexec/nexcage/systemd ("MemoryMax t 67108864"). A limit that systemd has no
/// property for is left out: it stands in the cgroup's file alone.
Result<std::vector<std::string>> plan_unit_limits(const std::vector<CgroupLimit>& limits);

/// Device rules as DevicePolicy and DeviceAllow. Nothing when all is allowed; nullopt when they
/// cannot be said in a list of what is allowed. `proc_devices`: the content of /proc/devices.
std::optional<std::vector<std::string>> plan_unit_devices(const std::vector<sys::DeviceRule>& rules,
                                                          std::string_view proc_devices);

}  // namespace nexcage::backends::lxc
