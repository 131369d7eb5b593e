// Another process in a running container, on its node: by `pct exec`. The API has none.
#pragma once

#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/proxmox/guest.h"

namespace nexcage::backends::proxmox {

/// Unsupported, with what to do instead, unless the guest is on this very node.
Result<> check_exec(const Cluster& cluster, const GuestName& name);

/// The guest's root file system, as its first process has it: "/proc/PID/root". InvalidState when
/// it does not run.
Result<std::string> root_of_guest(const Cluster& cluster, std::uint64_t vmid);

/// Starts it. What it is goes to the launcher in the guest's template by a variable: arguments can
/// be read by every user of the node. Unsupported for what pct cannot do.
Result<ExecStarted> exec_guest(const GuestName& name, const ExecRequest& request);

}  // namespace nexcage::backends::proxmox
