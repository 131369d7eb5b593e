// A lock for what takes some ten nanoseconds, where a call of pthread_mutex_lock(3) and one of
// unlock would be half of the cost.
#pragma once

#include <atomic>
#include <cstdint>

namespace nexcage {

/// As std::mutex, of four bytes, and inline while nobody else wants it. Who waits spins a little
/// and then sleeps (futex(2), by std::atomic::wait).
class ShortLock {
 public:
  void lock() {
    State expected = kFree;
    if (!state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire)) wait();
  }
  void unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kWanted) state_.notify_one();
  }

 private:
  using State = std::uint32_t;
  static constexpr State kFree = 0, kTaken = 1, kWanted = 2;  // by somebody who may sleep

  /// Takes it as wanted, since others may be asleep as well: at worst one needless notification.
  [[gnu::noinline]] void wait() {
    while (state_.exchange(kWanted, std::memory_order_acquire) != kFree) state_.wait(kWanted);
  }

  std::atomic<State> state_ = kFree;
};

}  // namespace nexcage
