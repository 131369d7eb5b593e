// From a request to the words of another runtime's command line: pure.
#pragma once

#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/oci_runtime/dialect.h"

namespace nexcage::backends::oci_runtime {

using Words = std::vector<std::string>;

/// The binary and the options before the verb.
struct Program {
  std::string path;    // of the binary
  std::string root;    // its --root
  Invocation options;  // log, debug, rootless
};

/// "/usr/bin/crun --root ROOT --log FILE --log-format json": what comes before every verb.
Words plan_program(const Program& program);

/// Options before the verb `create` or `restore`. Unsupported for a manager the runtime lacks.
Result<Words> plan_cgroup_manager(const Dialect& dialect, CgroupManager manager);

/// `create` with its options and the id; `pid_file` and `console_socket` are those to be used.
/// Unsupported for an option that the runtime lacks.
Result<Words> plan_create(const Dialect& dialect, const CreateJob& job, const std::string& pid_file,
                          const std::string& console_socket);

/// `restore --detach` likewise.
Result<Words> plan_restore(const Dialect& dialect, const CreateJob& job,
                           const std::string& pid_file, const std::string& console_socket);

/// `exec` with its options and the id. `process_file` holds the process as JSON.
Result<Words> plan_exec(const Dialect& dialect, const ExecRequest& request,
                        const std::string& process_file, const std::string& id);

/// Where the runtime puts the container's cgroup, as paths without leading slash relative to the
/// mount points of the hierarchies; none with systemd, which removes what it made. `own_paths` are
/// those of our own process.
Words plan_cgroups(const Dialect& dialect, const CreateJob& job, const Words& own_paths);

}  // namespace nexcage::backends::oci_runtime
