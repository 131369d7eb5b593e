// Running verbs of another OCI runtime.
#pragma once

#include <functional>
#include <string>

#include "nexcage/backends/oci_runtime/argv.h"
#include "nexcage/backends/oci_runtime/dialect.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::oci_runtime {

/// One runtime with its own state below ours. Cheap to copy.
struct Runtime {
  const Dialect* dialect = nullptr;
  Program program;
  std::string our_root;       // the state root
  std::string cgroup_parent;  // of containers whose spec is ours

  /// Its directory of a container.
  std::string state_dir(const std::string& id) const { return program.root + "/" + id; }
  /// While this exists the container waits to be started, for crun and for runc.
  std::string start_fifo(const std::string& id) const { return state_dir(id) + "/exec.fifo"; }
};

/// The command of a verb. Whoever runs it has our environment, descriptors and signals, as if it
/// had been called directly.
sys::Command command_of(const Program& program, const Words& words);

/// A sealed copy of the program, to be executed by descriptor in its place, where that spares the
/// program a second start of itself (Dialect::seals_itself). Else none: the path is executed.
UniqueFd sealed_program(const Runtime& runtime);

/// `delete --force ID`.
Words removal_of(const std::string& id);
/// The container for the undo log: later commands of ours decide about the log file, so this one
/// has none.
Foreign foreign_of(const Runtime& runtime, const std::string& id);

/// A name by which a program that we run can open our descriptor, without inheriting it.
Result<std::string> path_for_others(int fd);

/// Runs a verb to its end, on our standard streams. What it logs becomes records of our own log,
/// its failure our error. It is killed when we are. `started` is called when it runs.
Result<> run_verb(const Runtime& runtime, const Words& words,
                  const std::function<Result<>(const sys::Child&)>& started = {});

}  // namespace nexcage::backends::oci_runtime
