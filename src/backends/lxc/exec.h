// A further process in a running container.
#pragma once

#include "nexcage/backends/backend.h"
#include "nexcage/backends/lxc/plan.h"

namespace nexcage::backends::lxc {

/// Joins the container's cgroups and namespaces, and executes. Returns when the program runs, or
/// with the reason why not ("executable file not found in $PATH" ...).
Result<ExecStarted> execute_in(const Record& record, const oci::Spec& spec,
                               const ExecRequest& request, const Setup& setup,
                               const HostFacts& facts);

/// The plan of it; pure. `join_flags` (CLONE_NEW*) are the namespaces that differ from ours.
Result<sys::plan::Plan> plan_exec(const oci::Spec& spec, const ExecRequest& request,
                                  const HostFacts& facts, std::uint32_t join_flags);

/// What backend_data holds of the container's cgroup.
Result<std::string> recorded_cgroup(const Record& record);

}  // namespace nexcage::backends::lxc
