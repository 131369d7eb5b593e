// The common parent of the cgroups of containers comes and goes with them.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::backends {

/// flock(2) on the state root. Shared while cgroups are made, exclusive (LOCK_NB) while an empty
/// parent cgroup is taken away.
Result<UniqueFd> lock_cgroups(const std::string& root, int operation);

}  // namespace nexcage::backends
