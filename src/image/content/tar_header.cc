#include "nexcage/image/content/tar_header.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::image::content {

namespace {

/// Place and width of the fields (tar.h(0P), GNU tar's tar.h).
struct Field {
  std::size_t at;
  std::size_t length;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12},
    kMtime{136, 12}, kChecksum{148, 8}, kLinkName{157, 100}, kMagic{257, 8}, kDevMajor{329, 8},
    kDevMinor{337, 8}, kPrefix{345, 155}, kStarPrefix{345, 131}, kStarMagic{508, 4},
    kGnuAtime{345, 12};
constexpr std::size_t kTypeAt = 156;

std::string_view get(const TarBlock& block, Field field) {
  return tar_field(block, field.at, field.length);
}

/// Sum of all bytes with the checksum field as spaces. Old tars summed signed chars.
bool checksum_matches(const TarBlock& block) {
  auto stored = parse_tar_number(get(block, kChecksum));
  if (!stored) return false;
  std::int64_t plain = 0, as_signed = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    bool blank = i >= kChecksum.at && i < kChecksum.at + kChecksum.length;
    auto byte = blank ? std::uint8_t{' '} : static_cast<std::uint8_t>(block[i]);
    plain += byte;
    as_signed += static_cast<std::int8_t>(byte);
  }
  return *stored == plain || *stored == as_signed;
}

TarFormat detect_format(const TarBlock& block) {
  std::string_view magic = get(block, kMagic);
  if (magic == std::string_view("ustar  \0", 8)) return TarFormat::gnu;
  if (magic.starts_with(std::string_view("ustar\0", 6))) return TarFormat::ustar;
  return TarFormat::v7;
}

std::string full_name(const TarBlock& block, TarFormat format) {
  std::string name = tar_string(get(block, kName));
  if (format != TarFormat::ustar) return name;
  bool star = get(block, kStarMagic) == std::string_view("tar\0", 4);
  std::string prefix = tar_string(get(block, star ? kStarPrefix : kPrefix));
  return prefix.empty() ? name : prefix + "/" + name;
}

std::optional<std::int64_t> parse_base256(std::string_view field) {
  // Two's complement, big endian; the top bit is the marker and bit 6 the sign.
  bool negative = (static_cast<std::uint8_t>(field[0]) & 0x40) != 0;
  std::int64_t value = negative ? -1 : 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    auto byte = static_cast<std::uint8_t>(field[i]);
    if (i == 0) byte = static_cast<std::uint8_t>(negative ? byte | 0x80 : byte & 0x7f);
    if (value > (INT64_MAX >> 8) || value < (INT64_MIN >> 8)) return std::nullopt;
    value = value * 256 + byte;
  }
  return value;
}

}  // namespace

std::string_view tar_field(const TarBlock& block, std::size_t at, std::size_t length) {
  return {reinterpret_cast<const char*>(block.data()) + at, length};
}

std::string tar_string(std::string_view field) {
  return std::string(field.substr(0, field.find('\0')));
}

std::optional<std::int64_t> parse_tar_number(std::string_view field) {
  if (!field.empty() && (static_cast<std::uint8_t>(field[0]) & 0x80) != 0)
    return parse_base256(field);
  constexpr std::string_view kBlank(" \0", 2);
  auto first = field.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return 0;  // V7 writers left unused fields blank
  field.remove_prefix(first);
  field = field.substr(0, field.find_first_of(kBlank));
  std::int64_t value = 0;
  for (char digit : field) {
    if (digit < '0' || digit > '7' || value > (INT64_MAX >> 3)) return std::nullopt;
    value = value * 8 + (digit - '0');
  }
  return value;
}

bool is_zero_block(const TarBlock& block) {
  return std::ranges::all_of(block, [](std::byte b) { return b == std::byte{0}; });
}

Result<TarHeader> parse_tar_header(const TarBlock& block, std::uint64_t offset) {
  if (!checksum_matches(block)) return tar_error(offset, "the header's checksum does not match");
  TarHeader header;
  header.format = detect_format(block);
  header.type = static_cast<char>(block[kTypeAt]);
  header.name = full_name(block, header.format);
  header.link_name = tar_string(get(block, kLinkName));

  auto number = [&](Field field, std::string_view name, auto& into) -> Result<> {
    auto value = parse_tar_number(get(block, field));
    if (!value || *value < 0)
      return tar_error(offset, "the header's " + std::string(name) +
                                   " is no number: " + quote(get(block, field)));
    into = static_cast<std::remove_reference_t<decltype(into)>>(*value);
    return {};
  };
  std::uint64_t mode = 0;
  NX_CHECK(number(kMode, "mode", mode));
  header.mode = static_cast<std::uint32_t>(mode & 07777);
  NX_CHECK(number(kUid, "uid", header.uid));
  NX_CHECK(number(kGid, "gid", header.gid));
  NX_CHECK(number(kSize, "size", header.size));
  auto mtime = parse_tar_number(get(block, kMtime));
  if (!mtime) return tar_error(offset, "the header's mtime is no number");
  header.mtime = *mtime;
  if (header.format != TarFormat::v7 && (header.type == '3' || header.type == '4')) {
    NX_CHECK(number(kDevMajor, "device major", header.dev_major));
    NX_CHECK(number(kDevMinor, "device minor", header.dev_minor));
  }
  if (header.format == TarFormat::gnu && get(block, kGnuAtime)[0] != '\0')
    header.atime = parse_tar_number(get(block, kGnuAtime));
  return header;
}

}  // namespace nexcage::image::content
