#include "nexcage/registry/client/intervals.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::registry::client {

void Intervals::add(Interval interval) {
  if (interval.begin >= interval.end) return;
  auto next = parts_.upper_bound(interval.begin);
  if (next != parts_.begin() && std::prev(next)->second >= interval.begin) --next;
  while (next != parts_.end() && next->first <= interval.end) {
    interval.begin = std::min(interval.begin, next->first);
    interval.end = std::max(interval.end, next->second);
    next = parts_.erase(next);
  }
  parts_.emplace(interval.begin, interval.end);
}

void Intervals::remove(Interval interval) {
  if (interval.begin >= interval.end) return;
  auto next = parts_.upper_bound(interval.begin);
  if (next != parts_.begin() && std::prev(next)->second > interval.begin) --next;
  while (next != parts_.end() && next->first < interval.end) {
    const Interval old{.begin = next->first, .end = next->second};
    next = parts_.erase(next);
    if (old.begin < interval.begin) parts_.emplace(old.begin, interval.begin);
    if (old.end > interval.end) parts_.emplace(interval.end, old.end);
  }
}

std::uint64_t Intervals::size() const {
  std::uint64_t total = 0;
  for (const auto& [begin, end] : parts_) total += end - begin;
  return total;
}

std::uint64_t Intervals::prefix() const {
  return !parts_.empty() && parts_.begin()->first == 0 ? parts_.begin()->second : 0;
}

std::optional<Interval> Intervals::first_hole(std::uint64_t end, std::uint64_t most) const {
  const std::uint64_t begin = prefix();
  if (begin >= end) return std::nullopt;
  const auto next = parts_.upper_bound(begin);
  std::uint64_t stop = next == parts_.end() ? end : std::min(end, next->first);
  if (stop - begin > most) stop = begin + most;
  return Interval{.begin = begin, .end = stop};
}

std::string Intervals::str() const {
  std::string text;
  for (const auto& [begin, end] : parts_) {
    if (!text.empty()) text += ' ';
    text += std::to_string(begin) + "-" + std::to_string(end);
  }
  return text;
}

std::optional<Intervals> Intervals::parse(std::string_view text, std::uint64_t end) {
  Intervals set;
  if (text.empty()) return set;
  std::uint64_t last = 0;
  for (const std::string& part : split(text, ' ')) {
    const std::size_t dash = part.find('-');
    if (dash == std::string::npos) return std::nullopt;
    const auto from = parse_u64(std::string_view(part).substr(0, dash));
    const auto to = parse_u64(std::string_view(part).substr(dash + 1));
    const bool first = set.empty();
    if (!from || !to || *from >= *to || *to > end || (!first && *from <= last)) return std::nullopt;
    last = *to;
    set.parts_.emplace_hint(set.parts_.end(), *from, *to);
  }
  return set;
}

}  // namespace nexcage::registry::client
