// How far a pull or push is, as text. Pure: events and times go in, lines come out; who writes them
// to a terminal is progress_output.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/registry/pull_event.h"

namespace nexcage::cli {

using ProgressTime = std::chrono::steady_clock::time_point;

enum class ProgressStyle : std::uint8_t { tty, plain, json, none };
/// The word of --progress; empty: tty on a terminal, else plain. InvalidSpec for another word.
Result<ProgressStyle> parse_progress_style(std::string_view word, bool on_terminal);

/// Bytes over the last seconds.
class Speed {
 public:
  void add(ProgressTime now, std::uint64_t bytes);
  /// Bytes per second; 0 when nothing came for a while or not enough is known.
  double value(ProgressTime now) const;

 private:
  struct Sample {
    ProgressTime at;
    std::uint64_t bytes;
  };
  std::deque<Sample> samples_;
};

/// What is known of the transfer.
class Progress {
 public:
  void apply(const registry::PullEvent& event, ProgressTime now);

  /// One line per layer and one for all, each narrower than `width` columns, at most `height` - 1
  /// of them: where there are more, those at work are shown and the others counted. Plain text
  /// without escapes.
  std::vector<std::string> bars(std::size_t width, std::size_t height, ProgressTime now) const;

 private:
  friend class PlainProgress;
  using State = registry::PullEvent::State;
  struct Layer {
    std::string digest;
    std::uint64_t size = 0, bytes = 0;
    State state = State::waiting;
    Speed speed;
  };
  Layer* find(std::string_view digest);
  std::string layer_line(const Layer& layer, std::size_t width, ProgressTime now) const;
  std::string total_line(std::size_t width, ProgressTime now) const;

  std::vector<Layer> layers_;
  std::string note_;  // the last retry, while it counts
};

/// The same for logs and pipes: one line for each thing that happened, and one for a large layer
/// now and then.
class PlainProgress {
 public:
  /// The lines this event adds, each ending in a newline; mostly none.
  std::string apply(const registry::PullEvent& event, ProgressTime now);

 private:
  std::string layer_text(const Progress::Layer& layer, ProgressTime now);
  Progress known_;
  ProgressTime told_{};
};

/// "sha256:0123456789abcdef..." -> "0123456789ab".
std::string short_digest(std::string_view digest);
/// "7s", "3m05s", "2h10m".
std::string format_eta(double seconds);

}  // namespace nexcage::cli
