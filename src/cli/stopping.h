// What `stop` and `restart` share.
#pragma once

#include <chrono>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/cli/options.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::cli {

/// --time, the seconds between the stop signal and KILL.
class StopTime {
 public:
  void declare(Options& options);
  /// InvalidSpec for what is no number of seconds of a day.
  Result<std::chrono::seconds> seconds() const;

 private:
  std::string text_ = "10";
};

/// Sends the image's stop signal (TERM when it has none), KILL when the container still runs after
/// `time`, and waits for its end and its exit code. One that has ended is success.
Result<> stop_container(const std::string& id, std::chrono::seconds time,
                        runtime::Services& services);

}  // namespace nexcage::cli
