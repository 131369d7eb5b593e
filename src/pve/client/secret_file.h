// Secrets from files and the environment.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/registry/secret.h"

namespace nexcage::pve::client {

/// The first line of a file that only its owner can read, who must be the caller or root.
/// PermissionDenied naming mode or owner otherwise; ConfigError for an empty file.
Result<registry::Secret> read_secret(const std::string& path);
/// The variable's value; empty when it is not set. The variable is removed from the environment.
registry::Secret take_secret(const char* variable);

}  // namespace nexcage::pve::client
