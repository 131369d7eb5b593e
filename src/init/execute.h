// Shared by the check before "ready" and the last step.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/init/context.h"

namespace nexcage::init {

/// chdir to the process's cwd; InvalidSpec when that leads out of the root.
Result<> enter_cwd(Context& context);

/// no_new_privs and the seccomp filter, as the process wants them. A filter with notifications:
/// their descriptor goes to the runtime before this returns.
Result<> load_seccomp(Context& context);

}  // namespace nexcage::init
