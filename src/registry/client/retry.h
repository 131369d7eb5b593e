// When a request is sent again, and when it is given up. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "nexcage/registry/client/http.h"

namespace nexcage::registry::client {

struct RetrySettings {
  unsigned retries = 5;                       // of one request in a row without progress
  std::chrono::milliseconds first{250};       // delay before the first, doubled each time
  std::chrono::milliseconds longest{15'000};  // of our own delays
  std::chrono::seconds most_asked{120};       // a Retry-After beyond this is not waited for
};

/// What a finished transfer calls for.
struct Verdict {
  enum class Is : std::uint8_t {
    good,     // an answer to be looked at, whatever its status
    retry,    // the same again, not before `asked`
    give_up,  // here it will not work
  };
  Is is = Is::good;
  std::optional<std::chrono::milliseconds> asked;  // Retry-After
};
/// 408, 425, 429 and 5xx but 501 and 505 may go away; so do broken and stalled transfers, and hosts
/// that cannot be reached.
Verdict judge(const Finished& done, std::chrono::system_clock::time_point now);

/// Delay-seconds or an HTTP date (RFC 9110, 10.2.3); a date that is past is 0. nullopt for anything
/// else.
std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view text, std::chrono::system_clock::time_point now);

/// Counts the failures of one request.
class Retries {
 public:
  explicit Retries(const RetrySettings& settings) : settings_(settings) {}
  /// The delay before the next attempt; nullopt when it is enough. `jitter` in [0, 1) spreads
  /// clients.
  std::optional<std::chrono::milliseconds> next(std::optional<std::chrono::milliseconds> asked,
                                                double jitter);
  /// Something came: the count begins anew.
  void progress() { failures_ = 0; }
  unsigned failures() const { return failures_; }

 private:
  const RetrySettings& settings_;
  unsigned failures_ = 0;
};

}  // namespace nexcage::registry::client
