// Asking systemd, through the helper that speaks to it.
#pragma once

#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/lxc/systemd_unit.h"
#include "nexcage/base/error.h"

namespace nexcage::backends::lxc {

/// RuntimeNotAvailable or Unsupported when systemd does not manage this host or cannot be asked.
Result<> check_systemd(const std::string& libexec);
/// Makes the scope with `pid` in it. InvalidState when systemd puts it elsewhere than unit.cgroup.
Result<> start_unit(const std::string& libexec, const SystemdUnit& unit, pid_t pid,
                    const std::vector<std::string>& properties);
Result<> set_unit(const std::string& libexec, const std::string& name,
                  const std::vector<std::string>& properties);
/// Gone already is success.
Result<> stop_unit(const std::string& libexec, const std::string& name);
/// The same for the undo log.
Unit undo_of(const std::string& libexec, const SystemdUnit& unit);

}  // namespace nexcage::backends::lxc
