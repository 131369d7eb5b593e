// Spans of time as runc's options take them.
#pragma once

#include <chrono>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::cli {

/// "5s", "1m30s", "1.5h", "300ms": numbers with units of ns, us, ms, s, m, h, as in Go. InvalidSpec
/// for anything else, a sign and a number without unit included, and for more than 290 years.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace nexcage::cli
