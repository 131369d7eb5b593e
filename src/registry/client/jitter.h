// Spreading clients that were turned away at the same time.
#pragma once

#include <random>

namespace nexcage::registry::client {

/// A number in [0, 1).
inline double jitter() {
  static thread_local std::minstd_rand source(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(source);
}

}  // namespace nexcage::registry::client
