#include "nexcage/registry/client/retry.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <string>

#include "nexcage/base/text.h"

namespace nexcage::registry::client {

namespace {

bool may_go_away(int status) {
  constexpr std::array kLasting = {501, 505};
  if (status >= 500 && status < 600) return std::ranges::find(kLasting, status) == kLasting.end();
  return status == 408 || status == 425 || status == 429;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view text, std::chrono::system_clock::time_point now) {
  using std::chrono::milliseconds;
  text = trim(text);
  constexpr std::uint64_t kMost = 1'000'000'000;
  if (const auto seconds = parse_u64(text)) return milliseconds(std::min(*seconds, kMost) * 1000);
  std::tm parts{};
  const std::string copy(text);
  const char* end = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const auto then = std::chrono::system_clock::from_time_t(::timegm(&parts));
  const auto left = std::chrono::ceil<milliseconds>(then - now);
  return std::clamp(left, milliseconds(0), milliseconds(kMost * 1000));
}

Verdict judge(const Finished& done, std::chrono::system_clock::time_point now) {
  using Kind = TransportFailure::Kind;
  if (done.failure) {
    const Kind kind = done.failure->kind;
    const bool lasting = kind == Kind::tls || kind == Kind::sink || kind == Kind::refused;
    return {.is = lasting ? Verdict::Is::give_up : Verdict::Is::retry, .asked = std::nullopt};
  }
  if (!may_go_away(done.response.status)) return {};
  return {.is = Verdict::Is::retry,
          .asked = parse_retry_after(done.response.header("retry-after"), now)};
}

std::optional<std::chrono::milliseconds> Retries::next(
    std::optional<std::chrono::milliseconds> asked, double jitter) {
  using std::chrono::milliseconds;
  if (failures_ >= settings_.retries) return std::nullopt;
  if (asked && *asked > settings_.most_asked) return std::nullopt;
  const unsigned doubled = std::min(failures_++, 20U);
  const auto own =
      std::min<std::int64_t>(settings_.longest.count(), settings_.first.count() << doubled);
  const auto spread = static_cast<std::int64_t>(static_cast<double>(own) * jitter / 2);
  return std::max(milliseconds(own - spread), asked.value_or(milliseconds(0)));
}

}  // namespace nexcage::registry::client
