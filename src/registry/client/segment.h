// One request for bytes of a blob, and where they go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/registry/client/intervals.h"
#include "nexcage/registry/client/remote.h"

namespace nexcage::registry::client {

/// "bytes 0-1023/4096" of RFC 9110, 14.4. `total` is absent for "*".
struct ContentRange {
  Interval bytes;
  std::optional<std::uint64_t> total;
};
std::optional<ContentRange> parse_content_range(std::string_view text);

/// Who keeps the bytes.
class SegmentOwner {
 public:
  SegmentOwner() = default;
  SegmentOwner(const SegmentOwner&) = delete;
  SegmentOwner& operator=(const SegmentOwner&) = delete;
  virtual ~SegmentOwner() = default;
  virtual Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
};

/// Takes one answer. Bytes are gathered before they are written: libcurl hands out 16 KiB at a
/// time.
class Segment final : public BodySink {
 public:
  /// `range`: what is asked for; the whole blob without a Range header when `whole`. The owner is
  /// borrowed.
  Segment(SegmentOwner& owner, Exchange exchange, Interval range, std::uint64_t blob_size,
          bool whole);

  Result<> begin(const HttpResponse& response) override;
  Result<> data(std::span<const std::byte> bytes) override;
  /// Writes what is gathered.
  Result<> flush();

  /// What it brings.
  const Interval& range() const { return range_; }
  bool complete() const { return at_ == range_.end; }
  /// The server answered a request for a range with everything (200).
  bool got_whole() const { return got_whole_; }
  /// The server answered with another range than was asked for.
  bool wrong_range() const { return wrong_range_; }
  bool got_range() const { return got_range_; }
  bool whole() const { return whole_; }

  Exchange exchange;
  TransferId transfer = 0;

 private:
  Result<> begin_whole(const HttpResponse& response);
  Result<> begin_range(const HttpResponse& response);
  SegmentOwner& owner_;
  Interval range_;
  std::uint64_t blob_size_;
  std::uint64_t at_;  // offset of the next byte from the wire
  bool whole_, got_whole_ = false, got_range_ = false, wrong_range_ = false;
  std::uint64_t gather_;  // bytes
  std::vector<std::byte> gathered_;
};

}  // namespace nexcage::registry::client
