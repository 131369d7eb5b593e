#include "nexcage/vm/qemu/clock.h"

#include <ctime>

#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
#endif

namespace nexcage::vm::qemu {

std::uint64_t measure_tsc_khz() {
#if defined(__x86_64__) || defined(__i386__)
  constexpr std::int64_t kNanoseconds = 4'000'000;
  const auto now = [] {
    timespec time{};
    (void)::clock_gettime(CLOCK_MONOTONIC_RAW, &time);
    return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
  };
  const std::int64_t begin = now();
  const std::uint64_t first = __rdtsc();
  std::int64_t end = begin;
  while (end - begin < kNanoseconds) end = now();
  const std::uint64_t ticks = __rdtsc() - first;
  return ticks * 1'000'000 / static_cast<std::uint64_t>(end - begin);
#else
  return 0;
#endif
}

}  // namespace nexcage::vm::qemu
