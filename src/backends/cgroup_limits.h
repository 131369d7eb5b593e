// linux.resources in the words of cgroup version 1 or 2, whichever has the controller on this host;
// and their change in a living container. Shared by the backends that keep cgroups themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"
#include "nexcage/sys/cgroup.h"

namespace nexcage::backends {

/// One file of a control group and what is to be written to it.
struct CgroupLimit {
  std::string controller;  // "memory"; of a `unified` entry what stands before the point
  bool v2 = false;
  std::string file;               // "memory.max"
  std::string value;              // "67108864"
  std::string field;              // "memory.limit": below linux.resources, for messages
  std::string or_file, or_value;  // the same limit where the kernel has no `file`; may be empty
};

/// What is in force in a cgroup, as far as new limits depend on it. Empty for a new cgroup.
struct LimitsInForce {
  std::optional<std::int64_t> memory;        // bytes, -1 unlimited
  std::optional<std::int64_t> memory_swap;   // version 1: memory and swap together
  std::optional<std::uint64_t> memory_used;  // bytes
  std::optional<std::int64_t> cpu_quota;     // microseconds, -1 unlimited
  std::optional<std::uint64_t> cpu_period;
};

/// Everything of `resources` but the device rules, in an order that the kernel takes (it refuses a
/// memory limit above the limit of memory and swap together, for one). What is 0 is not named, as
/// in runc. Unsupported or InvalidConfig naming the field. Pure.
Result<std::vector<CgroupLimit>> plan_cgroup_limits(const oci::Resources& resources,
                                                    const sys::CgroupLayout& layout,
                                                    const LimitsInForce& in_force = {});

/// Reads what plan_cgroup_limits depends on; what cannot be read stays empty.
LimitsInForce read_limits_in_force(const sys::Cgroup& cgroup);

/// Changes the limits of an existing cgroup, one after the other. When one is refused those before
/// get back their old values; the error names field and file.
Result<> update_cgroup(const sys::Cgroup& cgroup, const sys::CgroupLayout& layout,
                       const oci::Resources& resources);

/// Sets the limits of a new cgroup. Unsupported naming field and file for one the kernel lacks.
Result<> write_cgroup_limits(const sys::Cgroup& cgroup, const std::vector<CgroupLimit>& limits);

/// What to write to `limit.file` to have back what `before`, its content, says: the whole content,
/// or of a file with a line a device the device's line. Pure.
std::string value_before(const CgroupLimit& limit, const std::string& before);

}  // namespace nexcage::backends
