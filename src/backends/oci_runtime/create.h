// Creating a container with another OCI runtime.
#pragma once

#include <memory>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/oci_runtime/verbs.h"

namespace nexcage::backends::oci_runtime {

/// `job` is copied; what it refers to lives as long as the flow. `words` come before the verb.
std::unique_ptr<Configured> make_configured(const CreateJob& job, Runtime runtime, Words words);

/// Checks the job against what the runtime's command line can say.
Result<Words> plan_before_create(const Dialect& dialect, const CreateJob& job);

/// What backend_data holds: the binary that made the container, its cgroup.
struct Kept {
  std::string program;
  std::string cgroup;  // in the hierarchy that freezes; empty: none of its own
};
json::Value to_json(const Kept& kept);
Kept parse_kept(const json::Value& data);

}  // namespace nexcage::backends::oci_runtime
