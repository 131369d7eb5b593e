// The processors that an executed process may use.
#pragma once

#include <sys/types.h>

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"

namespace nexcage::backends::lxc {

/// process.execCPUAffinity as bit masks; empty: as it is.
struct Affinity {
  std::string initial, final;
};
/// The process's own wish, else the one of config.json.
Result<Affinity> affinity_of(const oci::Process& process, const oci::Spec& spec);

/// sched_setaffinity(2); an empty mask changes nothing. `which` is the field, for messages.
Result<> set_affinity(pid_t pid, const std::string& mask, const char* which);

}  // namespace nexcage::backends::lxc
