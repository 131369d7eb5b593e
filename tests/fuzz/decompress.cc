// Compressed data: the first byte chooses the format, the second the size of the pieces. The output
// must not depend on the pieces, and stays inside the limits.
#include <algorithm>
#include <array>
#include <string>

#include "harness.h"
#include "nexcage/image/content/stream.h"

namespace nexcage::fuzz {
namespace {

using image::content::ByteSource;
using image::content::InflateLimits;

constexpr std::uint64_t kMaxOutput = 1u << 20;

/// At most `step` bytes at a time.
class Pieces final : public ByteSource {
 public:
  Pieces(std::span<const std::byte> data, std::size_t step) : left_(data), step_(step) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override {
    const std::size_t n = std::min({step_, buffer.size(), left_.size()});
    std::copy_n(left_.begin(), n, buffer.begin());
    left_ = left_.subspan(n);
    return n;
  }

 private:
  std::span<const std::byte> left_;
  std::size_t step_;
};

Result<std::string> inflate_all(std::span<const std::byte> data, oci::Compression compression,
                                std::size_t step) {
  Pieces source(data, step);
  const InflateLimits limits{.max_output = kMaxOutput, .max_window = 1u << 20};
  NX_TRY(auto inflated, image::content::inflate(source, compression, limits));
  std::string out;
  std::array<std::byte, 4096> buffer{};
  while (true) {
    NX_TRY(const std::size_t n,
           inflated->read(std::span(buffer).first(std::min(step, buffer.size()))));
    if (n == 0) return out;
    out.append(reinterpret_cast<const char*>(buffer.data()), n);
    check(out.size() <= kMaxOutput, "the output stays inside its limit");
  }
}

}  // namespace

NX_HARNESS(decompress) {
  if (size < 2) return 0;
  const auto compression = data[0] % 2 == 0 ? oci::Compression::gzip : oci::Compression::zstd;
  const auto input = std::as_bytes(std::span(data, size)).subspan(2);
  const auto whole = inflate_all(input, compression, 1u << 20);
  const auto pieces = inflate_all(input, compression, std::size_t{1} + data[1]);
  check(whole.has_value() == pieces.has_value(), "pieces do not decide what is accepted");
  if (!whole) {
    check(whole.error().code() == Errc::InvalidImage, "the code is InvalidImage");
    check_message(whole.error());
    return 0;
  }
  check(*whole == *pieces, "pieces do not change the output");
  return 0;
}

}  // namespace nexcage::fuzz
