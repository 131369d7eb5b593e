// The header of a gzip member (RFC 1952, 2.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace nexcage::image::content {

/// What the first bytes of a member say.
struct GzipHeader {
  enum class Is : std::uint8_t { complete, too_short, wrong };
  Is is = Is::too_short;
  std::size_t length = 0;  // of the header, when complete
  std::string why;         // when wrong
};

/// Looks for a whole header at the front of `data`; asks for more bytes by too_short. A header of
/// more than 128 KiB (names and comments have no limit of their own) is wrong. Pure.
GzipHeader read_gzip_header(std::span<const std::byte> data);

}  // namespace nexcage::image::content
