// One 512-byte tar header as it lies in the archive (POSIX.1-1988 ustar, GNU, star and V7).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/image/content/tar_input.h"

namespace nexcage::image::content {

enum class TarFormat : std::uint8_t { v7, ustar, gnu };

/// The fields of a header, decoded; meaning is given to them by TarReader.
struct TarHeader {
  TarFormat format = TarFormat::v7;
  char type = '0';
  std::string name;  // prefix included
  std::string link_name;
  std::uint32_t mode = 0;
  std::uint64_t uid = 0, gid = 0, size = 0;
  std::int64_t mtime = 0;  // seconds
  std::uint64_t dev_major = 0, dev_minor = 0;
  std::optional<std::int64_t> atime;  // GNU only, seconds
};

/// True when every byte is zero: the end marker.
bool is_zero_block(const TarBlock& block);
/// Checks the sum and decodes. Errors carry `offset`, the block's place in the archive.
Result<TarHeader> parse_tar_header(const TarBlock& block, std::uint64_t offset);

/// A numeric field: octal digits with spaces and NULs around, or base-256 when the top bit of the
/// first byte is set (GNU tar manual, "Extensions"). nullopt when it is neither or does not fit.
std::optional<std::int64_t> parse_tar_number(std::string_view field);
/// Bytes of a block as text; up to the first NUL.
std::string_view tar_field(const TarBlock& block, std::size_t at, std::size_t length);
std::string tar_string(std::string_view field);

}  // namespace nexcage::image::content
