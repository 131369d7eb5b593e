// What a pull tells while it runs: one JSON object per line, for whoever shows progress. The words
// are in docs/registry-helper.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "nexcage/json/value.h"
#include "nexcage/oci/digest.h"

namespace nexcage::registry::client {

class Events {
 public:
  /// Writes to `fd` (borrowed); -1: to nobody. What cannot be written is lost.
  explicit Events(int fd) : fd_(fd) {}
  void emit(std::string_view event, const json::Object& fields);
  void endpoint(std::string_view url);
  void blob(const oci::Digest& digest, std::string_view state);
  /// At most ten a second for each blob; the last one (bytes == size) always.
  void progress(const oci::Digest& digest, std::uint64_t bytes, std::uint64_t size);
  void retry(std::string_view what, std::string_view why, std::chrono::milliseconds delay);

 private:
  int fd_;
  std::map<std::string, std::chrono::steady_clock::time_point, std::less<>> last_;
};

}  // namespace nexcage::registry::client
