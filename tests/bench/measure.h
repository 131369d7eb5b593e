// Comparing ways of doing the same: rounds in turn, medians and spread, one line of JSON for each
// comparison on standard output.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::bench {

inline constexpr int kRounds = 11;  // and one that warms caches

/// A benchmark whose work fails measures nothing.
template <class T>
T need(Result<T> result) {
  if (result) {
    if constexpr (std::is_void_v<T>)
      return;
    else
      return *std::move(result);
  }
  std::cerr << result.error().message() << "\n";
  std::exit(1);
}

/// Keeps the compiler from leaving out what computes `value`.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

/// Seconds that `work` takes.
template <class Work>
double seconds(const Work& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

struct Comparison {
  std::string_view what;  // "metadata cache"
  std::string name;       // "1,000 entries, Zipf"
  std::string_view unit;  // of the figures
  double target = 0;      // saved part that is asked for: 0.95; 0: none for this row
  double scale = 1;       // of what the candidates return, to the unit
};

inline std::string row_json(std::vector<double> samples, double scale) {
  std::ranges::sort(samples);
  const auto at = [&](double part) {
    return samples[static_cast<std::size_t>(part * static_cast<double>(samples.size() - 1) + 0.5)] *
           scale;
  };
  char text[160];
  (void)std::snprintf(text, sizeof text, R"({"median":%.6g,"p10":%.6g,"p90":%.6g,"rounds":%zu})",
                      at(0.5), at(0.1), at(0.9), samples.size());
  return text;
}

inline void print(const Comparison& about, const std::vector<double>& baseline,
                  const std::vector<double>& ours) {
  (void)std::printf(R"({"what":"%s","name":"%s","unit":"%s","target":%.3g,"baseline":%s,"ours":%s})"
                    "\n",
                    std::string(about.what).c_str(), about.name.c_str(),
                    std::string(about.unit).c_str(), about.target,
                    row_json(baseline, about.scale).c_str(), row_json(ours, about.scale).c_str());
  (void)std::fflush(stdout);
}

/// Runs both in turn. A candidate returns its own figure: seconds per operation, or bytes.
inline void compare(const Comparison& about, const std::function<double()>& baseline,
                    const std::function<double()>& ours, int rounds = kRounds) {
  std::vector<double> theirs, mine;
  for (int round = 0; round <= rounds; ++round) {
    const double one = baseline(), two = ours();
    if (round == 0) continue;
    theirs.push_back(one);
    mine.push_back(two);
  }
  print(about, theirs, mine);
}

/// 100000 -> "100,000".
inline std::string count_text(std::size_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

}  // namespace nexcage::bench
