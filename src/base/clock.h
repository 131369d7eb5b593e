// Wall-clock time in the formats that files and messages use.
#pragma once

#include <chrono>
#include <string>

namespace nexcage {

using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

/// The current wall-clock time.
WallTime now();
/// RFC 3339 in UTC with `digits` fractional digits (0..9): 2024-05-01T12:00:00.123456789Z.
std::string format_rfc3339(WallTime time, int digits = 9);

}  // namespace nexcage
