#include "nexcage/pve/client/task.h"

#include <algorithm>
#include <thread>

#include "nexcage/base/text.h"

namespace nexcage::pve::client {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstPause{50}, kLongestPause{1000};
constexpr std::chrono::seconds kNodeAway{60};
constexpr int kLinesAtOnce = 500;

std::string printable(std::string_view line) {
  std::string text;
  for (const char c : line) text += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  return text;
}

class Follower {
 public:
  Follower(Connection& connection, const Upid& upid, const OnLine& tell)
      : connection_(connection),
        path_("/nodes/" + url_encode(upid.node) + "/tasks/" + url_encode(upid.text)),
        tell_(tell) {}

  Result<json::Value> status() {
    return connection_.call(http::Method::get, path_ + "/status", {});
  }
  /// The lines that have come since. What cannot be read now comes the next time.
  void read_log() {
    while (true) {
      const auto page = connection_.call(
          http::Method::get, path_ + "/log",
          {{"start", std::to_string(next_)}, {"limit", std::to_string(kLinesAtOnce)}});
      if (!page || page->if_array() == nullptr) return;
      for (const json::Value& entry : *page->if_array()) take(printable(entry.text("t")));
      if (page->if_array()->size() < kLinesAtOnce) return;
    }
  }
  std::vector<std::string> warnings;

 private:
  void take(const std::string& line) {
    ++next_;
    // A log that is still empty is one line of the server's own.
    if (line == "no content") {
      --next_;
      return;
    }
    if (to_lower(line).starts_with("warn")) warnings.push_back(line);
    if (tell_) tell_(line);
  }
  Connection& connection_;
  std::string path_;
  const OnLine& tell_;
  std::size_t next_ = 0;
};

bool is_node_away(const Error& error) {
  const std::string text = error.message();
  return text.ends_with("(595)") || text.ends_with("(596)") || error.code() == Errc::Timeout;
}

}  // namespace

Result<FollowedTask> follow_task(Connection& connection, const Upid& upid,
                                 std::chrono::seconds limit, const OnLine& tell) {
  Follower follower(connection, upid, tell);
  const auto begun = Clock::now();
  auto last_seen = begun;
  auto pause = kFirstPause;
  const std::string what = "task " + upid.type + (upid.id.empty() ? "" : " " + upid.id);
  while (true) {
    const auto status = follower.status();
    if (status) {
      last_seen = Clock::now();
      follower.read_log();
    } else if ((!connection.is_away() && !is_node_away(status.error())) ||
               Clock::now() - last_seen > kNodeAway) {
      return fail(
          Error(status.error())
              .wrap(what)
              .hint("the task may go on: " + upid.text + " in the log of node " + upid.node));
    }
    if (status && status->text("status") == "stopped") {
      FollowedTask done{.end = parse_task_end(status->text("exitstatus")),
                        .warnings = std::move(follower.warnings)};
      if (done.end.ok) return done;
      return fail(Errc::ProxmoxError, what + ": " + printable(done.end.text));
    }
    if (Clock::now() - begun > limit)
      return fail(Error(Errc::Timeout,
                        what + " still runs after " + std::to_string(limit.count()) + " seconds")
                      .hint("it goes on: " + upid.text));
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

}  // namespace nexcage::pve::client
