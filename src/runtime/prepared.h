// `run -d`: a monitor has to be the parent of the process that creates the container, so phases 1
// and 2 run in the user's command and the rest in a second one, with the bundle between them.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

/// Writes {bundle}/request.json: what phase 2 found out and config.json does not say.
Result<PreparedBundle> save_prepared(Resolved resolved);

/// The value that phase 2 had, read back. The image is verified again: another command may have
/// removed it meanwhile.
Result<Resolved> load_prepared(const Request& request, Services& with);

}  // namespace nexcage::runtime
