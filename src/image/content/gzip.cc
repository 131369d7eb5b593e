#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <limits>

#include "nexcage/image/content/gzip_header.h"
#include "nexcage/image/content/inflate.h"

namespace nexcage::image::content {

namespace {

std::string explain(int code) {
  switch (code) {
    case ISAL_INVALID_BLOCK:
      return "invalid block";
    case ISAL_INVALID_SYMBOL:
      return "invalid symbol";
    case ISAL_INVALID_LOOKBACK:
      return "reference before the start of the data";
    case ISAL_INVALID_WRAPPER:
      return "invalid header";
    case ISAL_UNSUPPORTED_METHOD:
      return "unsupported method";
    case ISAL_INCORRECT_CHECKSUM:
      return "wrong checksum";
    default:
      return "error " + std::to_string(code);
  }
}

/// All members of a gzip file, one after the other. Headers are read here and not by ISA-L, whose
/// answer to an odd one depends on how the input is cut.
class GzipInflater final : public Inflater {
 public:
  GzipInflater(ByteSource& from, const InflateLimits& limits)
      : Inflater(from, limits, "gzip"), state_(std::make_unique<inflate_state>()) {}

 protected:
  Result<Step> step(std::span<const std::byte> input, std::span<std::byte> output,
                    bool source_ended) override {
    switch (at_) {
      case At::header_or_end:
        return read_header(input, source_ended);
      case At::member:
        return inflate_member(input, output);
      case At::padding:
        return skip_padding(input, source_ended);
    }
    return damaged("unreachable state");
  }

 private:
  enum class At : std::uint8_t { header_or_end, member, padding };

  /// Collects the header of another member, unless padding or nothing follows.
  Result<Step> read_header(std::span<const std::byte> input, bool source_ended) {
    if (source_ended) return Step{.ended = any_member_ && header_.empty()};
    if (any_member_ && header_.empty() && input.front() == std::byte{0}) {
      at_ = At::padding;
      return skip_padding(input, source_ended);
    }
    const std::size_t before = header_.size();
    header_.insert(header_.end(), input.begin(), input.end());
    const GzipHeader header = read_gzip_header(header_);
    if (header.is == GzipHeader::Is::wrong) return damaged(header.why);
    if (header.is == GzipHeader::Is::too_short) return Step{.consumed = input.size()};
    header_.clear();
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP_NO_HDR_VER;  // ISA-L checks the trailer
    at_ = At::member;
    any_member_ = true;
    return Step{.consumed = header.length - before};
  }

  Result<Step> inflate_member(std::span<const std::byte> input, std::span<std::byte> output) {
    auto offered = static_cast<std::uint32_t>(input.size());
    auto room = static_cast<std::uint32_t>(
        std::min<std::size_t>(output.size(), std::numeric_limits<std::uint32_t>::max()));
    // isal_inflate only reads through next_in; its type lacks const.
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(input.data()));
    state_->avail_in = offered;
    state_->next_out = reinterpret_cast<std::uint8_t*>(output.data());
    state_->avail_out = room;
    int code = isal_inflate(state_.get());
    if (code < 0) return damaged(explain(code));
    Step done{.consumed = offered - state_->avail_in, .produced = room - state_->avail_out};
    if (state_->block_state == ISAL_BLOCK_FINISH) {
      at_ = At::header_or_end;
      done.changed = true;
    }
    return done;
  }

  /// Tapes and block devices leave zeros behind the last member; anything else is no gzip.
  Result<Step> skip_padding(std::span<const std::byte> input, bool source_ended) {
    if (source_ended) return Step{.ended = true};
    auto other = std::ranges::find_if(input, [](std::byte b) { return b != std::byte{0}; });
    if (other != input.end()) return damaged("trailing bytes that are no gzip member");
    return Step{.consumed = input.size()};
  }

  std::unique_ptr<inflate_state> state_;
  At at_ = At::header_or_end;
  std::vector<std::byte> header_;  // of the member that begins
  bool any_member_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> make_gzip_inflater(ByteSource& from, const InflateLimits& limits) {
  return std::make_unique<GzipInflater>(from, limits);
}

}  // namespace nexcage::image::content
