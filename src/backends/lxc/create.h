// Phase 6 carried out: from a CreatePlan to a container that waits for start.
#pragma once

#include <memory>
#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/cgroup_lock.h"
#include "nexcage/backends/lxc/plan.h"

namespace nexcage::backends::lxc {

/// The plan as the runtime's Configured. `job` must outlive it.
std::unique_ptr<Configured> make_configured(const CreateJob& job, Setup setup, HostFacts facts,
                                            CreatePlan plan);

/// Name of the socket, in the state directory, that a created container's init listens on.
inline constexpr const char* kStartSocket = "start.sock";

/// A sealed copy of libexec's init (CVE-2019-5736).
Result<UniqueFd> sealed_init(const std::string& libexec);
/// What liblxc keeps for a container of this name, and nobody removes but us.
std::string lock_file(const std::string& lxc_name);
/// prlimit(2) on the process that is about to become the user's.
Result<> apply_limits(pid_t pid, const std::vector<ResourceLimit>& limits);

}  // namespace nexcage::backends::lxc
