// Whose bundle a directory of {storage.containers} is. The state of its container lies below
// --root, on a tmpfs: after a reboot the bundle is all that is left, and this file says so.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/runtime/settings.h"

namespace nexcage::runtime {

/// Writes {bundle}/owner: the state root and the boot it was made in.
Result<> write_owner(const std::string& bundle, const std::string& root);

/// The bundle is of the boot that we are in: what its container wrote is in memory or on disk.
Result<bool> made_in_this_boot(const std::string& bundle);

/// Settles what containers of this root, made by an earlier boot, left on disk. Those whose files
/// are whole (storage::survives) are containers that have ended; the others are removed, with their
/// storage. Called by the first command that finds the root empty.
Result<> settle_earlier_boots(const Settings& settings);

}  // namespace nexcage::runtime
