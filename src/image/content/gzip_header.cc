#include "nexcage/image/content/gzip_header.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace nexcage::image::content {

namespace {

constexpr std::size_t kFixed = 10;  // magic, method, flags, time, extra flags, system
constexpr std::size_t kMaxHeader = 128u << 10;
constexpr unsigned kHasChecksum = 0x02, kHasExtra = 0x04, kHasName = 0x08, kHasComment = 0x10;
constexpr unsigned kReserved = 0xe0;

GzipHeader wrong(std::string why) {
  return {.is = GzipHeader::Is::wrong, .length = 0, .why = std::move(why)};
}

/// A place in the header that only moves while there are bytes.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> data) : data_(data) {}

  unsigned byte(std::size_t at) const { return std::to_integer<unsigned>(data_[at]); }
  std::size_t at() const { return at_; }
  /// All bytes asked for so far were there.
  bool whole() const { return whole_; }

  void pass(std::size_t count) {
    whole_ = whole_ && data_.size() - at_ >= count;
    if (whole_) at_ += count;
  }
  /// Two bytes, little-endian; 0 when they are not there.
  unsigned number() {
    const std::size_t from = at_;
    pass(2);
    return whole_ ? byte(from) | byte(from + 1) << 8 : 0;
  }
  /// Text with the NUL that ends it.
  void pass_text() {
    const auto rest = data_.subspan(at_);
    const auto nul = std::ranges::find(rest, std::byte{0});
    whole_ = whole_ && nul != rest.end();
    if (whole_) at_ += static_cast<std::size_t>(nul - rest.begin()) + 1;
  }

 private:
  std::span<const std::byte> data_;
  std::size_t at_ = 0;
  bool whole_ = true;
};

unsigned checksum_of(std::span<const std::byte> data) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
  return crc32_gzip_refl(0, bytes, data.size()) & 0xffff;
}

}  // namespace

GzipHeader read_gzip_header(std::span<const std::byte> data) {
  Cursor cursor(data);
  cursor.pass(kFixed);
  if (!cursor.whole()) return {};
  if (cursor.byte(0) != 0x1f || cursor.byte(1) != 0x8b) return wrong("no gzip member begins here");
  if (cursor.byte(2) != 8) return wrong("a compression method other than deflate");
  const unsigned flags = cursor.byte(3);
  if ((flags & kReserved) != 0) return wrong("reserved flags are set");

  if ((flags & kHasExtra) != 0) cursor.pass(cursor.number());
  if ((flags & kHasName) != 0) cursor.pass_text();
  if ((flags & kHasComment) != 0) cursor.pass_text();
  const std::size_t checked = cursor.at();
  const unsigned checksum = (flags & kHasChecksum) != 0 ? cursor.number() : 0;
  if (!cursor.whole() && data.size() > kMaxHeader) return wrong("the header has no end");
  if (!cursor.whole()) return {};
  if ((flags & kHasChecksum) != 0 && checksum != checksum_of(data.first(checked)))
    return wrong("wrong checksum of the header");
  return {.is = GzipHeader::Is::complete, .length = cursor.at(), .why = {}};
}

}  // namespace nexcage::image::content
