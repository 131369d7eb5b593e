// The programs that kernels and boot disks are made with.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/sys/process.h"

namespace nexcage::vm::boot {

/// Runs a program (argv[0], looked for where the system's own are as well) to its end, ten minutes
/// at most, and returns what it printed. RuntimeError with its words when it has no success,
/// RuntimeNotAvailable when it is not installed, Timeout.
Result<std::string> run_tool(sys::Command command);

}  // namespace nexcage::vm::boot
