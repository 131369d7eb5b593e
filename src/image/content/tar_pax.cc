#include "nexcage/image/content/tar_pax.h"

#include <array>
#include <optional>
#include <ranges>

#include "nexcage/base/base64.h"
#include "nexcage/base/text.h"
#include "nexcage/image/content/tar_input.h"

namespace nexcage::image::content {

namespace {

constexpr std::string_view kSchilyXattr = "SCHILY.xattr.";
constexpr std::string_view kLibarchiveXattr = "LIBARCHIVE.xattr.";

/// One record at the front of `data`; cuts it off.
Result<std::pair<std::string, std::string>> take_record(std::string_view& data,
                                                        std::uint64_t offset) {
  auto space = data.find(' ');
  auto length = space == std::string_view::npos ? std::nullopt : parse_u64(data.substr(0, space));
  if (!length || *length > data.size() || *length <= space + 1)
    return tar_error(offset, "an extended header's record has a wrong length");
  auto record = data.substr(space + 1, static_cast<std::size_t>(*length) - space - 1);
  if (record.back() != '\n')
    return tar_error(offset, "an extended header's record does not end with a newline");
  record.remove_suffix(1);
  auto equals = record.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return tar_error(offset, "an extended header's record has no keyword: " + quote(record));
  data.remove_prefix(static_cast<std::size_t>(*length));
  return std::pair(std::string(record.substr(0, equals)), std::string(record.substr(equals + 1)));
}

/// "[-]seconds[.fraction]", cut to nanoseconds; tv_nsec counts upwards from tv_sec.
std::optional<timespec> parse_time(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  auto dot = text.find('.');
  auto seconds = parse_u64(text.substr(0, dot));
  if (!seconds || *seconds > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  std::string_view fraction = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  long nanoseconds = 0;
  for (std::size_t i = 0; i < fraction.size(); ++i) {
    if (fraction[i] < '0' || fraction[i] > '9') return std::nullopt;
    if (i < 9) nanoseconds = nanoseconds * 10 + (fraction[i] - '0');
  }
  for (std::size_t i = fraction.size(); i < 9; ++i) nanoseconds *= 10;
  auto whole = static_cast<std::int64_t>(*seconds);
  if (!negative) return timespec{.tv_sec = whole, .tv_nsec = nanoseconds};
  if (nanoseconds == 0) return timespec{.tv_sec = -whole, .tv_nsec = 0};
  return timespec{.tv_sec = -whole - 1, .tv_nsec = 1'000'000'000 - nanoseconds};
}

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

/// libarchive writes attribute names with %XX for bytes outside printable ASCII.
std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
    auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
    if (low) {
      out += static_cast<char>(*high * 16 + *low);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Result<> apply_xattr(const std::string& name, std::string value, TarEntry& entry) {
  if (name.empty() || name.find('\0') != std::string::npos || name.size() > 255)
    return tar_error(entry.header_offset, "unusable attribute name " + quote(name));
  entry.xattrs[name] = std::move(value);
  return {};
}

Result<> apply_number(const std::string& keyword, const std::string& value, TarEntry& entry) {
  auto number = parse_u64(value);
  if (!number || *number > static_cast<std::uint64_t>(INT64_MAX))
    return tar_error(entry.header_offset,
                     "extended header " + keyword + " is no usable number: " + quote(value));
  if (keyword == "uid") entry.uid = *number;
  if (keyword == "gid") entry.gid = *number;
  if (keyword == "size") entry.size = *number;
  if (keyword == "SCHILY.devmajor") entry.dev_major = *number;
  if (keyword == "SCHILY.devminor") entry.dev_minor = *number;
  return {};
}

Result<> apply_name(const std::string& keyword, const std::string& value, TarEntry& entry) {
  if (value.find('\0') != std::string::npos)
    return tar_error(entry.header_offset, "extended header " + keyword + " has a NUL in it");
  (keyword == "path" ? entry.name : entry.link_name) = value;
  return {};
}

Result<> apply_time(const std::string& keyword, const std::string& value, TarEntry& entry) {
  auto time = parse_time(value);
  if (!time)
    return tar_error(entry.header_offset,
                     "extended header " + keyword + " is no time: " + quote(value));
  if (keyword == "mtime") entry.mtime = *time;
  if (keyword == "atime") entry.atime = *time;
  return {};
}

Result<> apply_record(const std::string& keyword, const std::string& value, TarEntry& entry) {
  constexpr std::array<std::string_view, 5> kNumbers = {"uid", "gid", "size", "SCHILY.devmajor",
                                                        "SCHILY.devminor"};
  if (keyword.starts_with(kSchilyXattr))
    return apply_xattr(keyword.substr(kSchilyXattr.size()), value, entry);
  if (keyword.starts_with(kLibarchiveXattr)) {
    auto decoded = base64_decode(value);  // libarchive leaves the padding out
    if (!decoded) return tar_error(entry.header_offset, quote(keyword) + " is no base64");
    return apply_xattr(percent_decode(keyword.substr(kLibarchiveXattr.size())), *std::move(decoded),
                       entry);
  }
  if (value.empty()) return {};
  if (keyword == "path" || keyword == "linkpath") return apply_name(keyword, value, entry);
  if (keyword == "mtime" || keyword == "atime") return apply_time(keyword, value, entry);
  for (std::string_view number : kNumbers)
    if (keyword == number) return apply_number(keyword, value, entry);
  return {};
}

}  // namespace

Result<PaxRecords> parse_pax(std::string_view data, std::uint64_t offset) {
  PaxRecords records;
  while (!data.empty()) {
    NX_TRY(auto record, take_record(data, offset));
    records.push_back(std::move(record));
  }
  return records;
}

const std::string* find_pax(const PaxRecords& records, std::string_view keyword) {
  for (const auto& [name, value] : records | std::views::reverse)
    if (name == keyword) return &value;
  return nullptr;
}

Result<> apply_pax(const PaxRecords& records, TarEntry& entry) {
  for (const auto& [keyword, value] : records) NX_CHECK(apply_record(keyword, value, entry));
  return {};
}

}  // namespace nexcage::image::content
