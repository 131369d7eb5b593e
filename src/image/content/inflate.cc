#include "nexcage/image/content/inflate.h"

#include <algorithm>
#include <array>

namespace nexcage::image::content {

namespace {

constexpr std::size_t kInputBuffer = 64u << 10;

/// compression none: the bytes as they are.
class PassThrough final : public ByteSource {
 public:
  explicit PassThrough(ByteSource& from) : from_(from) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override { return from_.read(buffer); }

 private:
  ByteSource& from_;
};

}  // namespace

Inflater::Inflater(ByteSource& from, const InflateLimits& limits, std::string_view format)
    : from_(from), limits_(limits), format_(format), buffer_(kInputBuffer) {}

Result<> Inflater::refill() {
  NX_TRY(std::size_t n, from_.read(buffer_));
  input_ = std::span<const std::byte>(buffer_).first(n);
  source_ended_ = n == 0;
  return {};
}

Result<std::size_t> Inflater::read(std::span<std::byte> buffer) {
  while (!ended_ && !buffer.empty()) {
    if (input_.empty() && !source_ended_) NX_CHECK(refill());
    NX_TRY(Step done, step(input_, buffer, source_ended_));
    input_ = input_.subspan(done.consumed);
    consumed_ += done.consumed;
    produced_ += done.produced;
    ended_ = done.ended;
    NX_CHECK(check_limits());
    if (done.produced > 0) return done.produced;
    if (ended_ || done.changed || done.consumed > 0) continue;
    if (source_ended_) return damaged("the data ends too early");
    if (!input_.empty()) return damaged("no progress is possible");
  }
  return 0;
}

Result<> Inflater::check_limits() const {
  if (produced_ > limits_.max_output)
    return damaged("inflates to more than " + std::to_string(limits_.max_output) + " bytes");
  if (produced_ > limits_.ratio_after && produced_ / limits_.max_ratio > consumed_)
    return damaged("inflates to more than " + std::to_string(limits_.max_ratio) +
                   " times its size");
  return {};
}

std::unexpected<Error> Inflater::damaged(const std::string& why) const {
  return fail(Errc::InvalidImage,
              format_ + " data at byte " + std::to_string(consumed_) + ": " + why);
}

Result<std::unique_ptr<ByteSource>> inflate(ByteSource& from, oci::Compression compression,
                                            const InflateLimits& limits) {
  switch (compression) {
    case oci::Compression::none:
      return std::make_unique<PassThrough>(from);
    case oci::Compression::gzip:
      return make_gzip_inflater(from, limits);
    case oci::Compression::zstd:
      return make_zstd_inflater(from, limits);
  }
  return fail(Errc::Unsupported, "compression of an unknown kind");
}

oci::Compression detect_compression(std::span<const std::byte> head) {
  constexpr std::array kGzip = {std::byte{0x1f}, std::byte{0x8b}};
  constexpr std::array kZstd = {std::byte{0x28}, std::byte{0xb5}, std::byte{0x2f}, std::byte{0xfd}};
  // A skippable frame (RFC 8878, 3.1.2) may come first: 0x184D2A5? little-endian.
  constexpr std::array kSkippable = {std::byte{0x2a}, std::byte{0x4d}, std::byte{0x18}};
  auto begins = [&](auto magic, std::size_t at) {
    return head.size() >= at + magic.size() &&
           std::equal(magic.begin(), magic.end(), head.begin() + static_cast<std::ptrdiff_t>(at));
  };
  if (begins(kGzip, 0)) return oci::Compression::gzip;
  if (begins(kZstd, 0)) return oci::Compression::zstd;
  if (begins(kSkippable, 1) && (head[0] & std::byte{0xf0}) == std::byte{0x50})
    return oci::Compression::zstd;
  return oci::Compression::none;
}

}  // namespace nexcage::image::content
