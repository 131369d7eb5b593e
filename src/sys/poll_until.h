// Waiting for descriptors with a point in time instead of a duration, so that signals do not
// lengthen the wait.
#pragma once

#include <poll.h>

#include <chrono>
#include <optional>
#include <span>

#include "nexcage/base/error.h"

namespace nexcage::sys {

using SteadyTime = std::chrono::steady_clock::time_point;

/// poll(2), begun again after signals: true when something is ready, false after the deadline.
/// No deadline: waits for ever.
Result<bool> poll_until(std::span<pollfd> fds, std::optional<SteadyTime> deadline);

/// Now plus the time; nullopt for a negative time, which stands for no limit.
std::optional<SteadyTime> deadline_after(std::chrono::milliseconds timeout);

/// nanosleep(2); a signal may end it early.
void sleep_for(std::chrono::milliseconds time);

}  // namespace nexcage::sys
