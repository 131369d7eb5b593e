#include "nexcage/cli/duration.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::cli {
namespace {

// Longer names first: "ms" begins with the name of another unit.
constexpr std::array<std::pair<std::string_view, double>, 7> kUnits = {{
    {"ns", 1},
    {"us", 1e3},
    {"µs", 1e3},
    {"ms", 1e6},
    {"s", 1e9},
    {"m", 60e9},
    {"h", 3600e9},
}};
constexpr double kMost = 9.2e18;  // nanoseconds in 64 bits

/// Takes the unit away from the front; its nanoseconds, 0 when there is none.
double take_unit(std::string_view& text) {
  for (const auto& [name, nanoseconds] : kUnits) {
    if (!text.starts_with(name)) continue;
    text.remove_prefix(name.size());
    return nanoseconds;
  }
  return 0;
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const auto bad = [text] {
    return fail(Errc::InvalidSpec, quote(text) + ": expected a span of time such as 5s or 1m30s");
  };
  double total = 0;
  std::string_view rest = text;
  do {
    double value = 0;
    const auto [stop, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), value, std::chars_format::fixed);
    if (error != std::errc{} || rest.front() == '-' || !std::isfinite(value)) return bad();
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
    const double unit = take_unit(rest);
    if (unit == 0) return bad();
    total += value * unit;
  } while (!rest.empty());
  if (total > kMost) return bad();
  return std::chrono::nanoseconds(static_cast<std::int64_t>(total));
}

}  // namespace nexcage::cli
