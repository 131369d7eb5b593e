// What `system check` and `system gc` say of what belongs to nothing.
#pragma once

#include <string>

#include "nexcage/runtime/check.h"

namespace nexcage::cli {

/// One line for each kind there is; with Remove::no it says that it is there, else that it went.
std::string garbage_text(const runtime::GarbageReport& report, runtime::Remove remove);

}  // namespace nexcage::cli
