// Exit codes of failures as Podman has them: 127 when the command does not exist, 126 when it
// cannot be executed, 125 for everything of our own.
#pragma once

#include "nexcage/base/error.h"

namespace nexcage::cli {

/// `error` came from starting a process in a container: 127, 126 or `otherwise`.
int start_failure_code(const Error& error, int otherwise);

}  // namespace nexcage::cli
