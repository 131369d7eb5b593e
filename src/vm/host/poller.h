// poll(2) over a set that is made anew each time round: what is waited for follows from the state
// of things, and is never out of date.
#pragma once

#include <poll.h>

#include <chrono>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::vm::host {

class Poller {
 public:
  using Clock = std::chrono::steady_clock;
  using Handler = std::function<Result<>(short events)>;

  /// A closed descriptor (-1) is left out.
  void add(int fd, short events, Handler handler) {
    if (fd < 0) return;
    entries_.push_back({.fd = fd, .events = events, .revents = 0});
    handlers_.push_back(std::move(handler));
  }
  /// The wait ends at the earliest of these.
  void until(std::optional<Clock::time_point> time) {
    if (time && (!until_ || *time < *until_)) until_ = time;
  }
  /// Waits once and calls the handlers of what is ready, in the order of add(). The first error
  /// ends it.
  Result<> wait();

 private:
  std::vector<pollfd> entries_;
  std::vector<Handler> handlers_;
  std::optional<Clock::time_point> until_;
};

}  // namespace nexcage::vm::host
