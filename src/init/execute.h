// Shared by the check before "ready" and the last step.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/init/context.h"

namespace nexcage::init {

/// chdir to the process's cwd; InvalidSpec when that leads out of the root.
Result<> enter_cwd(Context& context);

}  // namespace nexcage::init
