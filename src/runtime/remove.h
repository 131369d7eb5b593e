// What the removal of a container and its restart have in common.
#pragma once

#include <optional>
#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/undo.h"

namespace nexcage::runtime {

/// What info.json says of the mount of a container's layers: none for the OCI form.
std::optional<layerfs::MountRecord> mounted_layers(const std::string& id, const Settings& settings);

/// Takes away what the run of a container that has ended left: what the backend has of it, its
/// cgroup, network and mounts. Its bundle, what it wrote and info.json stay, and a state directory
/// that says that it has ended; poststop hooks run. `log`, the container's, is empty again
/// afterwards. If we are killed, the next command finishes it.
Result<> take_down(FileUndoLog& log, const backends::Record& record,
                   const layerfs::MountRecord& layers, Services& with);

}  // namespace nexcage::runtime
