// What the removal of a container and its restart have in common.
#pragma once

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/runtime/kept.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/undo.h"

namespace nexcage::runtime {

/// Takes away what the run of a container that has ended left: what the backend has of it, its
/// cgroup, network and mounts. Its bundle, what it wrote and info.json stay, and a state directory
/// that says that it has ended; poststop hooks run. `log`, the container's, is empty again
/// afterwards. If we are killed, the next command finishes it.
Result<> take_down(FileUndoLog& log, const backends::Record& record, const Kept& kept,
                   Services& with);

}  // namespace nexcage::runtime
