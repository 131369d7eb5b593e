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

/// Removes bundles (and their info.json) of this root that an earlier boot made: their containers
/// ended with it. Called by the first command that finds the root empty.
Result<> remove_bundles_of_earlier_boots(const Settings& settings);

}  // namespace nexcage::runtime
