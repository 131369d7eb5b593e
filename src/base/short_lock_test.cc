#include "nexcage/base/short_lock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace nexcage {
namespace {

TEST(ShortLock, OneAtATime) {
  constexpr int kThreads = 8, kTimes = 20'000;
  ShortLock lock;
  long count = 0;
  int inside = 0, most = 0;
  {
    std::vector<std::jthread> threads;
    threads.reserve(kThreads);
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < kTimes; ++i) {
          const std::scoped_lock held(lock);
          most = std::max(most, ++inside);
          ++count;
          --inside;
        }
      });
  }
  EXPECT_EQ(count, long{kThreads} * kTimes);
  EXPECT_EQ(most, 1);
}

TEST(ShortLock, WhoSleepsIsWoken) {
  ShortLock lock;
  bool done = false;
  lock.lock();
  std::jthread other([&] {
    const std::scoped_lock held(lock);
    done = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // it does not spin that long
  EXPECT_FALSE(done);
  lock.unlock();
  other.join();
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace nexcage
