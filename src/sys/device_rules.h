// Which devices a control group may use: lines of the devices controller of version 1, a BPF
// program in version 2 (which has no such controller).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/sys/cgroup.h"

namespace nexcage::sys {

struct DeviceRule {
  bool allow = false;
  char type = 'a';                           // a, b, c
  std::optional<std::int64_t> major, minor;  // absent: any
  std::string access = "rwm";                // of these letters
  bool operator==(const DeviceRule&) const = default;
};

/// "c 1:3 rwm", "a *:* rwm": what the files devices.allow and devices.deny take.
std::string to_text(const DeviceRule& rule);

/// The rules as a program of type BPF_PROG_TYPE_CGROUP_DEVICE: the last one that speaks of an
/// access decides; what none speaks of is allowed, as in a new group of version 1. An array of
/// struct bpf_insn. Pure.
std::string compile_device_rules(const std::vector<DeviceRule>& rules);

/// Loads a program of compile_device_rules and attaches it to a directory of version 2 for as long
/// as that exists, beside what is attached to the directories above.
Result<> attach_device_program(const std::string& cgroup_dir, const std::string& program);

/// Puts the rules in force for this cgroup, in whichever way it has. Unsupported when it has none.
Result<> apply_device_rules(const Cgroup& cgroup, const CgroupLayout& layout,
                            const std::vector<DeviceRule>& rules);

}  // namespace nexcage::sys
