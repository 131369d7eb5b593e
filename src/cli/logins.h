// What login and logout share.
#pragma once

#include <span>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/registry/files.h"

namespace nexcage::cli {

/// The registry or repository that the words name, else the first search registry. InvalidSpec when
/// there is neither.
Result<std::string> login_key(const registry::Files& files, std::span<const std::string> words);

}  // namespace nexcage::cli
