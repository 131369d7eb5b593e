#include "nexcage/backends/lxc/systemd_run.h"

#include <fcntl.h>

#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::lxc {
namespace {

constexpr std::chrono::seconds kPatience(30);
/// sd_booted(3).
constexpr const char* kBooted = "/run/systemd/system";

std::string helper_of(const std::string& libexec) { return libexec + "/systemd"; }

Result<> ask(const std::string& libexec, const char* verb, const std::string& unit,
             const std::vector<std::string>& properties) {
  const std::string what = std::string("systemd: ") + verb + " " + unit;
  sys::Command command;
  command.argv = {helper_of(libexec), verb, unit};
  NX_TRY(const sys::Output output, sys::run(command, join(properties, "\n"), kPatience), what);
  if (output.status == 0) return {};
  return fail(Errc::RuntimeError, what + ": " + std::string(trim(output.err)));
}

/// systemd in a container has a root of its own, below which its units are.
Result<> check_place(const SystemdUnit& unit, pid_t pid) {
  NX_TRY(const auto cgroups, sys::read_process_cgroups(pid));
  const bool there =
      std::ranges::any_of(cgroups, [&](const auto& of) { return of.second == "/" + unit.cgroup; });
  if (there) return {};
  return fail(Errc::InvalidState, "systemd did not put " + unit.name + " at /" + unit.cgroup);
}

}  // namespace

Result<> check_systemd(const std::string& libexec) {
  NX_TRY(const bool booted, sys::exists(AT_FDCWD, kBooted));
  if (!booted)
    return fail(Error(Errc::Unsupported, "cgroups made by systemd: it does not run this host")
                    .hint("Set the engine's cgroup manager to cgroupfs (SystemdCgroup = false)."));
  NX_TRY(const bool there, sys::exists(AT_FDCWD, helper_of(libexec)));
  if (there) return {};
  return fail(Error(Errc::RuntimeNotAvailable, helper_of(libexec) + " is missing")
                  .hint("install nexcage with its libexec directory, and the package libsystemd0"));
}

Result<> start_unit(const std::string& libexec, const SystemdUnit& unit, pid_t pid,
                    const std::vector<std::string>& properties) {
  std::vector<std::string> lines = {"Description s nexcage container " + unit.name,
                                    "Slice s " + unit.slice,
                                    "PIDs au " + std::to_string(pid),
                                    "Delegate b 1",
                                    "DefaultDependencies b 0",
                                    "CollectMode s inactive-or-failed",
                                    "CPUAccounting b 1",
                                    "MemoryAccounting b 1",
                                    "IOAccounting b 1",
                                    "TasksAccounting b 1"};
  lines.insert(lines.end(), properties.begin(), properties.end());
  NX_CHECK(ask(libexec, "start", unit.name, lines));
  return check_place(unit, pid);
}

Result<> set_unit(const std::string& libexec, const std::string& name,
                  const std::vector<std::string>& properties) {
  if (properties.empty()) return {};
  return ask(libexec, "set", name, properties);
}

Result<> stop_unit(const std::string& libexec, const std::string& name) {
  return ask(libexec, "stop", name, {});
}

Unit undo_of(const std::string& libexec, const SystemdUnit& unit) {
  return {.stop = {helper_of(libexec), "stop", unit.name}, .cgroup = unit.cgroup};
}

}  // namespace nexcage::backends::lxc
