// Which run of the kernel this is.
#pragma once

#include <string>

#include "nexcage/base/error.h"

namespace nexcage::sys {

/// kernel.random.boot_id (proc_sys_kernel(5)): another one after each boot. Read once in a process.
Result<std::string> boot_id();

}  // namespace nexcage::sys
