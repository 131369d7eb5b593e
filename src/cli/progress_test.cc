#include "nexcage/cli/progress.h"

#include <algorithm>

#include "nexcage/json/value.h"
#include "result_matchers.h"

namespace nexcage::cli {
namespace {

using registry::PullEvent;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kMiB = 1u << 20;
const ProgressTime kStart{seconds(1000)};

PullEvent event(std::string_view text) {
  return registry::parse_pull_event(json::parse(text).value()).value();
}
std::string digest(int number) {
  std::string hex = std::to_string(number);
  return "sha256:" + std::string(12 - hex.size(), '0') + hex + std::string(52, 'f');
}
PullEvent of_kind(PullEvent::Kind kind, std::string digest) {
  PullEvent out;
  out.kind = kind;
  out.digest = std::move(digest);
  return out;
}
PullEvent resolved(const std::vector<std::uint64_t>& sizes) {
  PullEvent out = of_kind(PullEvent::Kind::resolved, "sha256:abc");
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    out.layers.push_back({digest(static_cast<int>(i)), sizes[i]});
    out.size += sizes[i];
  }
  return out;
}
PullEvent blob(int number, PullEvent::State state) {
  PullEvent out = of_kind(PullEvent::Kind::blob, digest(number));
  out.state = state;
  return out;
}
PullEvent came(int number, std::uint64_t bytes) {
  PullEvent out = of_kind(PullEvent::Kind::progress, digest(number));
  out.bytes = bytes;
  return out;
}

TEST(PullEvents, AreReadAndUnknownOnesLeftOut) {
  const PullEvent seen = event(
      R"({"event":"resolved","digest":"sha256:1","size":30,"layers":[{"digest":"sha256:2","size":10}]})");
  EXPECT_EQ(seen.layers.at(0).size, 10u);
  EXPECT_EQ(event(R"({"event":"retry","what":"blob x","why":"reset","delay":1.5})").delay,
            milliseconds(1500));
  EXPECT_EQ(event(R"({"event":"retry","what":"blob x","why":"reset","delay":2})").delay,
            seconds(2));
  for (const char* other : {R"({"event":"new"})", R"({"event":"blob","state":"new"})", "{}", "[]"})
    EXPECT_FALSE(registry::parse_pull_event(json::parse(other).value())) << other;
}

TEST(ProgressStyles, WordsAndTheDefault) {
  EXPECT_EQ(parse_progress_style("", true).value(), ProgressStyle::tty);
  EXPECT_EQ(parse_progress_style("", false).value(), ProgressStyle::plain);
  EXPECT_EQ(parse_progress_style("none", true).value(), ProgressStyle::none);
  EXPECT_ERROR(parse_progress_style("fancy", true), Errc::InvalidSpec, HasSubstr("tty, plain"));
}

TEST(SpeedMeter, CountsTheLastSeconds) {
  Speed speed;
  EXPECT_EQ(speed.value(kStart), 0);
  speed.add(kStart, 50 * kMiB);
  EXPECT_EQ(speed.value(kStart), 0) << "what was there before is no speed";
  speed.add(kStart + seconds(1), 60 * kMiB);
  EXPECT_DOUBLE_EQ(speed.value(kStart + seconds(1)), 10.0 * kMiB);
  for (int i = 2; i < 20; ++i) speed.add(kStart + seconds(i), 60 * kMiB + (i - 1) * kMiB);
  EXPECT_NEAR(speed.value(kStart + seconds(19)), kMiB, 1);
  EXPECT_EQ(speed.value(kStart + seconds(30)), 0) << "stalled";
}

TEST(Bars, OneLinePerLayerAndOneForAll) {
  Progress progress;
  progress.apply(resolved({10 * kMiB, 20 * kMiB, 5 * kMiB, 1 * kMiB}), kStart);
  progress.apply(blob(0, PullEvent::State::started), kStart);
  progress.apply(came(0, 0), kStart);
  progress.apply(came(0, 5 * kMiB), kStart + seconds(1));
  progress.apply(blob(1, PullEvent::State::done), kStart);
  progress.apply(blob(2, PullEvent::State::present), kStart);
  EXPECT_THAT(
      progress.bars(80, 24, kStart + seconds(1)),
      ElementsAre(
          "000000000000  [==============>             ]  5.0 MiB / 10.0 MiB  5.0 MiB/s  1s",
          "000000000001  done 20.0 MiB", "000000000002  already present", "000000000003  waiting",
          "total         [=====================>     ]  25.0 MiB / 31.0 MiB  5.0 MiB/s  2s"));
}

TEST(Bars, NoLineReachesTheEdge) {
  Progress progress;
  progress.apply(resolved({std::uint64_t{3} << 40, 20, 30}), kStart);
  progress.apply(blob(0, PullEvent::State::started), kStart);
  progress.apply(came(0, 0), kStart);
  progress.apply(came(0, 1 * kMiB), kStart + seconds(1));
  progress.apply(event(R"({"event":"retry","what":"blob","why":")" + std::string(300, 'x') +
                       R"(","delay":0})"),
                 kStart);
  for (std::size_t width : {0u, 1u, 20u, 33u, 40u, 60u, 80u, 200u})
    for (const std::string& line : progress.bars(width, 24, kStart + seconds(1)))
      EXPECT_LT(line.size(), std::max<std::size_t>(width, 20)) << line;
}

TEST(Bars, ManyLayersOnASmallScreen) {
  Progress progress;
  progress.apply(resolved(std::vector<std::uint64_t>(127, kMiB)), kStart);
  for (int i = 0; i < 50; ++i) progress.apply(blob(i, PullEvent::State::done), kStart);
  for (int i = 50; i < 54; ++i) progress.apply(blob(i, PullEvent::State::started), kStart);
  const auto lines = progress.bars(80, 24, kStart);
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_THAT(lines[0], HasSubstr("000000000050"));
  EXPECT_EQ(lines[4], "123 further layers, 50 of them finished");
  EXPECT_THAT(lines[5], HasSubstr("50.0 MiB / 127.0 MiB"));
  for (std::size_t height : {0u, 4u, 5u, 24u, 200u})
    EXPECT_LT(progress.bars(80, height, kStart).size(), std::max<std::size_t>(height, 4));
}

TEST(Bars, NothingThatTheNetworkSaysDrivesTheTerminal) {
  Progress progress;
  PlainProgress plain;
  const PullEvent evil =
      event(R"({"event":"retry","what":"blob","why":"\u001b[2J\u0007bad\u009b","delay":1})");
  progress.apply(evil, kStart);
  for (const std::string& line : progress.bars(80, 24, kStart)) {
    EXPECT_TRUE(std::ranges::all_of(line, [](unsigned char c) { return c >= 0x20 && c < 0x7f; }));
    EXPECT_THAT(line, HasSubstr("bad"));
  }
  EXPECT_THAT(plain.apply(evil, kStart), Not(HasSubstr("\x1b")));
  EXPECT_EQ(short_digest("sha256:\x1b[2J4567890123"), "\\x1b[2J45678901");
}

TEST(Bars, ATransferThatGoesBackHasNoSpeedBelowNothing) {
  Progress progress;
  progress.apply(resolved({10 * kMiB}), kStart);
  progress.apply(blob(0, PullEvent::State::started), kStart);
  progress.apply(came(0, 8 * kMiB), kStart);
  progress.apply(came(0, 1 * kMiB), kStart + seconds(1));
  progress.apply(came(0, 3 * kMiB), kStart + seconds(2));
  EXPECT_THAT(progress.bars(80, 24, kStart + seconds(2)).at(0), HasSubstr("2.0 MiB/s  4s"));
}

TEST(PlainLines, OneForEachThingThatHappens) {
  PlainProgress plain;
  std::string text;
  const auto told = [&](const PullEvent& what, int second) {
    text += plain.apply(what, kStart + seconds(second));
  };
  told(event(R"({"event":"endpoint","url":"https://r.example"})"), 0);
  told(resolved({10 * kMiB, 20 * kMiB}), 0);
  told(blob(0, PullEvent::State::started), 0);
  told(blob(1, PullEvent::State::present), 0);
  for (int i = 1; i < 25; ++i) told(came(0, static_cast<std::uint64_t>(i) * kMiB / 4), i);
  told(blob(0, PullEvent::State::verifying), 25);
  told(blob(0, PullEvent::State::done), 26);
  EXPECT_EQ(text,
            "asking https://r.example\n"
            "image sha256:abc: 2 layers, 30.0 MiB\n"
            "layer 000000000000: 10.0 MiB\n"
            "layer 000000000001: already present\n"
            "layer 000000000000: 25% of 10.0 MiB, 256.0 KiB/s\n"
            "layer 000000000000: 50% of 10.0 MiB, 256.0 KiB/s\n"
            "layer 000000000000: done\n");
}

TEST(Eta, InUnitsThatFit) {
  EXPECT_EQ(format_eta(0.2), "1s");
  EXPECT_EQ(format_eta(59), "59s");
  EXPECT_EQ(format_eta(185), "3m05s");
  EXPECT_EQ(format_eta(7800), "2h10m");
  EXPECT_EQ(format_eta(1e18), "more than 4d");
}

}  // namespace
}  // namespace nexcage::cli
