#include "nexcage/registry/client/retry.h"

#include <gtest/gtest.h>

namespace nexcage::registry::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

/// 2024-05-01 12:00:00 UTC.
const system_clock::time_point kNow = system_clock::from_time_t(1714564800);

Finished answer(int status, std::string retry_after = {}) {
  Finished done;
  done.response.status = status;
  if (!retry_after.empty()) done.response.headers = {{"retry-after", std::move(retry_after)}};
  return done;
}
Finished failure(TransportFailure::Kind kind) {
  Finished done;
  done.failure = {.kind = kind, .text = "x", .error = std::nullopt};
  return done;
}

TEST(Retry, what_may_go_away_is_tried_again) {
  using Kind = TransportFailure::Kind;
  for (const int status : {408, 425, 429, 500, 502, 503, 504, 599})
    EXPECT_EQ(judge(answer(status), kNow).is, Verdict::Is::retry) << status;
  for (const int status : {200, 206, 301, 400, 401, 403, 404, 416, 501, 505})
    EXPECT_EQ(judge(answer(status), kNow).is, Verdict::Is::good) << status;
  for (const Kind kind : {Kind::resolve, Kind::connect, Kind::timeout, Kind::broken})
    EXPECT_EQ(judge(failure(kind), kNow).is, Verdict::Is::retry);
  for (const Kind kind : {Kind::tls, Kind::sink, Kind::refused})
    EXPECT_EQ(judge(failure(kind), kNow).is, Verdict::Is::give_up);
  EXPECT_EQ(judge(answer(429, "7"), kNow).asked, milliseconds(7000));
}

TEST(Retry, retry_after) {
  EXPECT_EQ(parse_retry_after("120", kNow), milliseconds(120'000));
  EXPECT_EQ(parse_retry_after(" 0 ", kNow), milliseconds(0));
  EXPECT_EQ(parse_retry_after("Wed, 01 May 2024 12:00:30 GMT", kNow), milliseconds(30'000));
  EXPECT_EQ(parse_retry_after("Wed, 01 May 2024 11:00:00 GMT", kNow), milliseconds(0));
  EXPECT_EQ(parse_retry_after("99999999999999999", kNow), milliseconds(1'000'000'000'000));
  for (const char* text : {"", "-1", "soon", "1.5", "Wed, 01 May 2024 12:00:30 GMT+1"})
    EXPECT_EQ(parse_retry_after(text, kNow), std::nullopt) << text;
}

TEST(Retry, delays_double_up_to_the_longest) {
  const RetrySettings settings{.retries = 4,
                               .first = milliseconds(100),
                               .longest = milliseconds(300),
                               .most_asked = seconds(10)};
  Retries retries(settings);
  EXPECT_EQ(retries.next(std::nullopt, 0), milliseconds(100));
  EXPECT_EQ(retries.next(std::nullopt, 0), milliseconds(200));
  EXPECT_EQ(retries.next(std::nullopt, 0), milliseconds(300));
  EXPECT_EQ(retries.next(std::nullopt, 0.5), milliseconds(225));
  EXPECT_EQ(retries.next(std::nullopt, 0), std::nullopt);
  retries.progress();
  EXPECT_EQ(retries.next(std::nullopt, 0), milliseconds(100));
}

TEST(Retry, the_server_may_ask_for_more_time_but_not_for_too_much) {
  const RetrySettings settings{.retries = 9,
                               .first = milliseconds(100),
                               .longest = milliseconds(300),
                               .most_asked = seconds(10)};
  Retries retries(settings);
  EXPECT_EQ(retries.next(milliseconds(5000), 0), milliseconds(5000));
  EXPECT_EQ(retries.next(milliseconds(1), 0), milliseconds(200));
  EXPECT_EQ(retries.next(milliseconds(10'001), 0), std::nullopt);
}

}  // namespace
}  // namespace nexcage::registry::client
