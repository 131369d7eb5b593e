// Shows the progress of a pull or push on standard error, in the style asked for.
#pragma once

#include <string>
#include <vector>

#include "nexcage/cli/progress.h"
#include "nexcage/image/helper.h"
#include "nexcage/registry/pull.h"
#include "nexcage/registry/push.h"

namespace nexcage::cli {

class ProgressOutput {
 public:
  /// Writes to `fd` (borrowed).
  ProgressOutput(ProgressStyle style, int fd) : style_(style), fd_(fd) {}
  ProgressOutput(const ProgressOutput&) = delete;
  ProgressOutput& operator=(const ProgressOutput&) = delete;
  /// Leaves the last bars on the screen, the cursor below them.
  ~ProgressOutput();
  void event(const json::Value& event);
  /// To be called now and then when no event comes: speeds fall.
  void tick();
  /// The transfer is over: the last bars stay, one line says what came of it.
  void finish(const registry::Pulled& pulled);
  void finish(const registry::Pushed& pushed);
  /// A line among the progress: "Trying to pull ...". Not in the styles json and none.
  void say(const std::string& text);

 private:
  void end(json::Object event, const std::string& line);
  void draw();
  void write(const std::string& text) const;
  ProgressStyle style_;
  int fd_;
  Progress progress_;
  PlainProgress plain_;
  std::vector<std::size_t> drawn_;  // lengths of the lines on the screen
  ProgressTime drawn_at_{};
  bool changed_ = false;
};

}  // namespace nexcage::cli
