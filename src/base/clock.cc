#include "nexcage/base/clock.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace nexcage {

WallTime now() { return std::chrono::system_clock::now(); }

std::string format_rfc3339(WallTime time, int digits) {
  using std::chrono::floor;
  using std::chrono::seconds;
  // floor, not a cast: times before 1970 must not get a negative fraction.
  const auto whole = floor<seconds>(time);
  const auto nanos = static_cast<long>((time - whole).count());
  const std::time_t stamp = whole.time_since_epoch().count();
  std::tm parts{};
  (void)gmtime_r(&stamp, &parts);
  std::array<char, 64> text{};
  (void)std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d",
                      parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                      parts.tm_min, parts.tm_sec);
  std::string out(text.data());
  const int wanted = std::clamp(digits, 0, 9);
  if (wanted > 0) {
    (void)std::snprintf(text.data(), text.size(), ".%09ld", nanos);
    out.append(text.data(), 1 + static_cast<std::size_t>(wanted));
  }
  return out + "Z";
}

}  // namespace nexcage
