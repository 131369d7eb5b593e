// Another root file system for a container that stays what it is: made from another image and what
// was asked of the first one, while the container may still run.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/undo.h"
#include "nexcage/storage/volume.h"

namespace nexcage::runtime {

/// The texts of the files that say what a container is with one of its roots.
struct RootFiles {
  std::string config, request;  // {bundle}/config.json, request.json
  std::string info;             // info.json
};

/// A root that is not the container's yet. It is mounted below {bundle}/update, and volume and
/// mounts are in the undo log that it was made with.
struct NewRoot {
  RootFiles files;
  unsigned number = 1;
  storage::Volume volume;
  std::string rootfs;                          // where it is mounted
  std::optional<layerfs::MountRecord> layers;  // none: they are in an image file
  std::vector<std::string> old_volumes;        // directories that the container's image declares
};

/// Directories of the bundle in which updates mount the new root and the one before: nothing in
/// them outlives the command.
std::array<std::string, 2> update_places(const std::string& bundle);

/// Makes generation `number` of the container from an image, pulled as the configuration says. Its
/// settings, network and mounts are those of the container. `log` is the container's and is gone,
/// rolled back, after an error. ImageNotFound, LayerError and what else phases 2 to 5 refuse with;
/// InvalidState for a container whose options were not kept; Unsupported for volumes that cannot be
/// taken along.
Result<NewRoot> make_root(const std::string& id, const std::string& image, unsigned number,
                          FileUndoLog& log, Services& with);

/// Unmounts it. What was written stays in its volume.
Result<> let_go(const NewRoot& root, const std::string& id, const Settings& settings);

/// What the container, which has ended and is taken down, wrote into the directories that its image
/// declares as volumes replaces what is in these places of the new root. Links in a root lead
/// nowhere else. FileError.
Result<> carry_volumes(const NewRoot& root, const std::string& id, Services& with);

}  // namespace nexcage::runtime
