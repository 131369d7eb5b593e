// How the command lines of OCI runtimes differ. A further runtime is one of these and a line in
// registry.cc.
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace nexcage::backends::oci_runtime {

struct Version {
  unsigned major = 0, minor = 0, patch = 0;
  auto operator<=>(const Version&) const = default;
};

struct Dialect {
  std::string_view name;      // of the backend, of its program, of its state directory {root}/@name
  std::string_view package;   // installs it
  Version minimum;            // older ones are refused
  bool config_option;         // create --config FILE
  bool ignore_paused;         // exec --ignore-paused
  bool cgroup_manager;        // --cgroup-manager NAME; all have --systemd-cgroup
  bool seals_itself;          // starts itself again unless it runs from a sealed copy in memory
  bool cgroup_below_callers;  // a cgroupsPath that is relative or missing lies below our own cgroup
};

/// crun(1). 1.0 is the first with stable options; older ones lack `exec --cgroup`.
inline constexpr Dialect kCrun = {.name = "crun",
                                  .package = "crun",
                                  .minimum = {1, 0, 0},
                                  .config_option = true,
                                  .ignore_paused = false,
                                  .cgroup_manager = true,
                                  .seals_itself = true,
                                  .cgroup_below_callers = false};

/// runc(8) seals itself, too, but is so large that copying it costs more than it does. 1.0 is the
/// first that implements the runtime spec 1.0.2 in full.
inline constexpr Dialect kRunc = {.name = "runc",
                                  .package = "runc",
                                  .minimum = {1, 0, 0},
                                  .config_option = false,
                                  .ignore_paused = true,
                                  .cgroup_manager = false,
                                  .seals_itself = false,
                                  .cgroup_below_callers = true};

}  // namespace nexcage::backends::oci_runtime
