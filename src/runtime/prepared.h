// A container's bundle between two commands. A monitor has to be the parent of the process that
// creates the container, so under one phases 1 and 2 run in the user's command (`run -d`) and the
// rest in a second one; and of a container that has ended and is started again the bundle tells all
// that phases 1 and 2 once found out.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

/// The text of {bundle}/request.json: what phases 1 and 2 found out and config.json does not say.
/// What the user asked of the image (ImageSource) is in it for updates.
std::string request_text(const Resolved& resolved);
/// Writes it.
Result<> save_request(const Resolved& resolved);

/// Leaves the bundle, and what is to become of it, to a second command.
Result<PreparedBundle> hand_on(Resolved resolved);

/// The value that phase 2 had, read back for the second command: `request` is that command's, and
/// gets the first one's options. The image is verified again: another command may have removed it
/// meanwhile.
Result<Resolved> load_prepared(Request& request, Services& with);

/// The same for a container that is there already; `undo` is its log.
Result<Resolved> load_bundle(Request& request, FileUndoLog undo, Services& with);

}  // namespace nexcage::runtime
