// Buffered reading of a tar by blocks and runs, with the position for messages.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/content/stream.h"

namespace nexcage::image::content {

inline constexpr std::size_t kTarBlock = 512;
using TarBlock = std::array<std::byte, kTarBlock>;

/// InvalidImage "tar at byte N: why".
std::unexpected<Error> tar_error(std::uint64_t offset, const std::string& why);

class TarInput {
 public:
  explicit TarInput(ByteSource& source);

  /// Bytes handed out so far.
  std::uint64_t offset() const { return offset_; }
  /// The next block; nullopt at the end of the source, InvalidImage when it ends inside the block.
  Result<std::optional<TarBlock>> block();
  /// Exactly `length` bytes (a caller's cap has been checked).
  Result<std::string> text(std::size_t length);
  /// At least one and at most `limit` bytes as they lie in the buffer, valid until the next call.
  Result<std::span<const std::byte>> run(std::uint64_t limit);
  Result<> skip(std::uint64_t length);

 private:
  /// Asks the source when nothing is buffered; false at its end.
  Result<bool> fill();
  std::span<const std::byte> take(std::size_t length);

  ByteSource& source_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> ready_;
  std::uint64_t offset_ = 0;
};

}  // namespace nexcage::image::content
