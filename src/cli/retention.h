// --keep N of `snapshot create` and `checkpoint --storage-only`.
#pragma once

#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/runtime/snapshots.h"

namespace nexcage::cli {

/// nullopt for an option that is not given; InvalidSpec unless it is a number from 1. Only
/// snapshots whose names have this beginning count.
Result<std::optional<runtime::Retention>> parse_keep(const std::string& text,
                                                     const std::string& beginning);

}  // namespace nexcage::cli
