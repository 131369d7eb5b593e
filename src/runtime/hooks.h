// OCI hooks of the runtime's namespace (runtime-spec config.md "POSIX-platform Hooks").
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"
#include "nexcage/oci/state.h"

namespace nexcage::runtime {

/// The hooks of one point.
const std::vector<oci::Hook>& hooks_of(const oci::Hooks& hooks, backends::HookPoint point);

/// Runs the hooks of a point one after the other: the state as JSON on stdin, only the hook's own
/// environment, the bundle as working directory, its process group killed after `timeout` (the
/// hook's, else `default_timeout` seconds; 0: none). HookError with the point, the path, the status
/// and the last of its output; the first failure ends the run.
Result<> run_hooks(const oci::Hooks& hooks, backends::HookPoint point, const oci::State& state,
                   int default_timeout);

/// The same, but every hook runs and failures are logged as warnings: poststop, and poststart of
/// spec versions before 1.3.
void run_hooks_logging(const oci::Hooks& hooks, backends::HookPoint point, const oci::State& state,
                       int default_timeout);

/// True when a failing poststart hook fails `start` for this ociVersion (1.3.0 changed it).
bool poststart_is_fatal(const std::string& oci_version);

}  // namespace nexcage::runtime
