#include "nexcage/registry/client/segment.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::registry::client {

namespace {
constexpr std::uint64_t kLeastGathered = 16u << 10;
constexpr std::uint64_t kMostGathered = 256u << 10;
/// What is gathered is lost with the process: a small part of the blob.
constexpr std::uint64_t kPartGathered = 128;
}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view text) {
  text = trim(text);
  constexpr std::string_view kUnit = "bytes ";
  if (to_lower(text.substr(0, kUnit.size())) != kUnit) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash)
    return std::nullopt;
  const auto first = parse_u64(text.substr(0, dash));
  const auto last = parse_u64(text.substr(dash + 1, slash - dash - 1));
  const std::string_view total = text.substr(slash + 1);
  const auto number = parse_u64(total);
  constexpr std::uint64_t kMost = std::uint64_t{1} << 62;
  if (!first || !last || *last < *first || *last > kMost || (total != "*" && !number))
    return std::nullopt;
  return ContentRange{.bytes = {.begin = *first, .end = *last + 1}, .total = number};
}

Segment::Segment(SegmentOwner& owner, Exchange sent, Interval range, std::uint64_t blob_size,
                 bool whole)
    : exchange(std::move(sent)),
      owner_(owner),
      range_(range),
      blob_size_(blob_size),
      at_(range.begin),
      whole_(whole),
      gather_(std::clamp(blob_size / kPartGathered, kLeastGathered, kMostGathered)) {
  gathered_.reserve(std::min(gather_, range.size()));
}

Result<> Segment::begin(const HttpResponse& response) {
  return response.status == 206 ? begin_range(response) : begin_whole(response);
}

Result<> Segment::begin_whole(const HttpResponse& response) {
  const auto length = response.length();
  // A length of a compressed answer is of what travels; we ask for none, so it is of the blob.
  if (length && *length != blob_size_)
    return fail(Errc::InvalidImage, "the server has " + std::to_string(*length) + " bytes, not " +
                                        std::to_string(blob_size_));
  got_whole_ = !whole_;
  range_ = {.begin = 0, .end = blob_size_};
  at_ = 0;
  return {};
}

Result<> Segment::begin_range(const HttpResponse& response) {
  const auto answered = parse_content_range(response.header("content-range"));
  const bool right = !whole_ && answered && answered->bytes.begin == range_.begin &&
                     answered->bytes.end <= range_.end &&
                     (!answered->total || *answered->total == blob_size_);
  if (right) {
    got_range_ = true;
    return {};
  }
  wrong_range_ = true;
  return fail(Errc::RegistryError, "asked for bytes " + std::to_string(range_.begin) + "-" +
                                       std::to_string(range_.end - 1) + "/" +
                                       std::to_string(blob_size_) + ", the server answers " +
                                       quote(response.header("content-range")));
}

Result<> Segment::data(std::span<const std::byte> bytes) {
  if (bytes.size() > range_.end - at_)
    return fail(Errc::InvalidImage, "the server sends more than the " +
                                        std::to_string(range_.size()) + " bytes it should");
  gathered_.insert(gathered_.end(), bytes.begin(), bytes.end());
  at_ += bytes.size();
  return gathered_.size() >= gather_ || complete() ? flush() : Result<>();
}

Result<> Segment::flush() {
  if (gathered_.empty()) return {};
  NX_CHECK(owner_.write(at_ - gathered_.size(), gathered_));
  gathered_.clear();
  return {};
}

}  // namespace nexcage::registry::client
