// Names of signals (signal(7)).
#include <array>
#include <csignal>
#include <cstring>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/sys/process.h"

namespace nexcage::sys {
namespace {

constexpr int kLastSignal = 64;  // the kernel's SIGRTMAX on every architecture we build for

/// Further names of signals, beside the one that libc knows.
constexpr std::array<std::pair<std::string_view, int>, 4> kAliases = {{
    {"iot", SIGIOT},
    {"cld", SIGCHLD},
    {"poll", SIGPOLL},
    {"io", SIGIO},
}};

/// "rtmin+3", "rtmax-1", "rtmin", "rtmax".
std::optional<int> real_time_signal(std::string_view name) {
  const bool from_min = name.starts_with("rtmin");
  if (!from_min && !name.starts_with("rtmax")) return std::nullopt;
  const int base = from_min ? SIGRTMIN : SIGRTMAX;
  name.remove_prefix(5);
  if (name.empty()) return base;
  if (name.front() != (from_min ? '+' : '-')) return std::nullopt;
  const auto offset = parse_u64(name.substr(1));
  if (!offset || *offset > static_cast<std::uint64_t>(SIGRTMAX - SIGRTMIN)) return std::nullopt;
  const int distance = static_cast<int>(*offset);
  return from_min ? base + distance : base - distance;
}

std::optional<int> named_signal(std::string_view name) {
  for (const auto& [alias, number] : kAliases)
    if (alias == name) return number;
  for (int number = 1; number < SIGRTMIN; ++number) {
    const char* known = ::sigabbrev_np(number);
    if (known != nullptr && to_lower(known) == name) return number;
  }
  return real_time_signal(name);
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  if (const auto number = parse_u64(text); number && *number <= kLastSignal)
    return static_cast<int>(*number);
  const std::string lower = to_lower(text);
  std::string_view name = lower;
  if (name.starts_with("sig")) name.remove_prefix(3);
  if (const auto number = named_signal(name)) return *number;
  return fail(Error(Errc::InvalidSpec, "unknown signal " + quote(text))
                  .hint("use a name (TERM, SIGTERM, RTMIN+3) or a number up to 64"));
}

std::string signal_name(int signal) {
  if (signal == SIGIO) return "SIGIO";  // libc says POLL, everybody else on Linux IO
  if (signal >= SIGRTMIN && signal <= SIGRTMAX) {
    const int offset = signal - SIGRTMIN;
    return offset == 0 ? "SIGRTMIN" : "SIGRTMIN+" + std::to_string(offset);
  }
  const char* known = ::sigabbrev_np(signal);
  return known != nullptr ? "SIG" + std::string(known) : std::to_string(signal);
}

}  // namespace nexcage::sys
