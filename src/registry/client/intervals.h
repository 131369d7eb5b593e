// Which bytes of a blob are on disk. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace nexcage::registry::client {

/// The bytes [begin, end).
struct Interval {
  std::uint64_t begin = 0, end = 0;
  std::uint64_t size() const { return end - begin; }
  bool operator==(const Interval&) const = default;
};

/// A set of bytes, kept as disjoint intervals that do not touch.
class Intervals {
 public:
  void add(Interval interval);
  void remove(Interval interval);
  void clear() { parts_.clear(); }
  bool empty() const { return parts_.empty(); }
  /// Number of bytes in the set.
  std::uint64_t size() const;
  /// End of the interval that begins at 0.
  std::uint64_t prefix() const;
  /// The first bytes of [0, end) that are not in the set, at most `most` of them.
  std::optional<Interval> first_hole(std::uint64_t end, std::uint64_t most) const;
  /// "0-4096 8192-16384".
  std::string str() const;
  /// nullopt unless the text is str() of a set below `end`.
  static std::optional<Intervals> parse(std::string_view text, std::uint64_t end);
  bool operator==(const Intervals&) const = default;

 private:
  std::map<std::uint64_t, std::uint64_t> parts_;  // begin -> end
};

}  // namespace nexcage::registry::client
