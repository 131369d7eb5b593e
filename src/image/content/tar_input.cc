#include "nexcage/image/content/tar_input.h"

#include <algorithm>

namespace nexcage::image::content {

namespace {
constexpr std::size_t kBuffer = 256u << 10;
}

std::unexpected<Error> tar_error(std::uint64_t offset, const std::string& why) {
  return fail(Errc::InvalidImage, "tar at byte " + std::to_string(offset) + ": " + why);
}

TarInput::TarInput(ByteSource& source) : source_(source), buffer_(kBuffer) {}

Result<bool> TarInput::fill() {
  if (!ready_.empty()) return true;
  NX_TRY(std::size_t n, source_.read(buffer_));
  ready_ = std::span<const std::byte>(buffer_).first(n);
  return n > 0;
}

std::span<const std::byte> TarInput::take(std::size_t length) {
  auto taken = ready_.first(length);
  ready_ = ready_.subspan(length);
  offset_ += length;
  return taken;
}

Result<std::optional<TarBlock>> TarInput::block() {
  TarBlock out{};
  std::size_t filled = 0;
  while (filled < kTarBlock) {
    NX_TRY(bool more, fill());
    if (!more && filled == 0) return std::nullopt;
    if (!more) return tar_error(offset_, "the archive ends inside a block");
    auto part = take(std::min(kTarBlock - filled, ready_.size()));
    std::ranges::copy(part, out.begin() + static_cast<std::ptrdiff_t>(filled));
    filled += part.size();
  }
  return out;
}

Result<std::string> TarInput::text(std::size_t length) {
  std::string out;
  while (out.size() < length) {
    NX_TRY(auto part, run(length - out.size()));
    out.append(reinterpret_cast<const char*>(part.data()), part.size());
  }
  return out;
}

Result<std::span<const std::byte>> TarInput::run(std::uint64_t limit) {
  NX_TRY(bool more, fill());
  if (!more) return tar_error(offset_, "the archive ends inside a member");
  return take(static_cast<std::size_t>(std::min<std::uint64_t>(limit, ready_.size())));
}

Result<> TarInput::skip(std::uint64_t length) {
  length -= take(static_cast<std::size_t>(std::min<std::uint64_t>(length, ready_.size()))).size();
  if (length == 0) return {};
  NX_TRY(std::uint64_t skipped, source_.skip(length));
  offset_ += skipped;
  if (skipped < length) return tar_error(offset_, "the archive ends inside a member");
  return {};
}

}  // namespace nexcage::image::content
