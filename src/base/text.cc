#include "nexcage/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "nexcage/base/utf8.h"

namespace nexcage {
namespace {

constexpr std::size_t kQuoteLimit = 120;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

template <class Int>
std::optional<Int> parse_whole(std::string_view text) {
  Int value{};
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value, 10);
  if (code != std::errc() || stop != end) return std::nullopt;
  return value;
}

bool is_control(std::uint32_t value) { return value < 0x20 || (value >= 0x7f && value <= 0x9f); }

std::string hex_byte(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  return {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 0xf]};
}

void append_quoted(std::string& out, std::string_view character) {
  const char first = character.front();
  if (first == '"' || first == '\\')
    (out += '\\') += first;
  else if (first == '\n')
    out += "\\n";
  else if (first == '\t')
    out += "\\t";
  else if (const Utf8Char c = decode_utf8(character); c.length == 0 || is_control(c.value))
    for (char byte : character) out += hex_byte(byte);
  else
    out += character;
}

/// The power of 1024 that a suffix ("", "b", "m", "MiB", "gb") stands for.
std::optional<int> unit_power(std::string_view suffix) {
  if (suffix.empty()) return 0;
  const std::string unit = to_lower(suffix);
  const std::size_t letter = std::string_view("bkmgtp").find(unit[0]);
  if (letter == std::string_view::npos) return std::nullopt;
  const std::string_view rest = std::string_view(unit).substr(1);
  const bool good = rest.empty() || (letter > 0 && (rest == "b" || rest == "ib"));
  return good ? std::optional(static_cast<int>(letter)) : std::nullopt;
}

/// Digits after the point as a fraction of `unit`, rounded down.
std::optional<std::uint64_t> fraction_of(std::string_view digits, std::uint64_t unit) {
  // Nine digits are exact enough for any size and cannot overflow.
  const std::optional<std::uint64_t> value = parse_u64(digits.substr(0, 9));
  if (!value || !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  double scale = 1;
  for (std::size_t i = 0; i < std::min<std::size_t>(digits.size(), 9); ++i) scale *= 10;
  return static_cast<std::uint64_t>(static_cast<double>(*value) / scale *
                                    static_cast<double>(unit));
}

/// Edits (insert, delete, replace, swap of neighbours) that make one word the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (std::size_t end; (end = text.find(separator, start)) != std::string_view::npos;
       start = end + 1)
    parts.emplace_back(text.substr(start, end - start));
  parts.emplace_back(text.substr(start));
  return parts;
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (&part != parts.data()) out += separator;
    out += part;
  }
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

std::optional<std::uint64_t> parse_u64(std::string_view text) {
  return parse_whole<std::uint64_t>(text);
}

std::optional<std::int64_t> parse_i64(std::string_view text) {
  return parse_whole<std::int64_t>(text);
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bad = [text](std::string why) {
    return fail(Error(Errc::InvalidConfig, "size " + quote(text) + " " + std::move(why))
                    .hint("write a number with a unit, for example 64M or 1.5GiB"));
  };
  const std::size_t number_end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, number_end);
  std::string_view suffix = text.substr(number_end);
  if (suffix.starts_with(' ') && suffix.size() > 1) suffix.remove_prefix(1);
  const std::optional<int> power = unit_power(suffix);
  const std::size_t point = number.find('.');
  const std::optional<std::uint64_t> whole = parse_u64(number.substr(0, point));
  if (!whole || !power) return bad("is not a size");
  const std::uint64_t unit = 1ull << (10 * *power);
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(*whole, unit, &bytes)) return bad("is too large");
  if (point != std::string_view::npos) {
    const auto fraction = fraction_of(number.substr(point + 1), unit);
    if (!fraction) return bad("is not a size");
    if (__builtin_add_overflow(bytes, *fraction, &bytes)) return bad("is too large");
  }
  return bytes;
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // 1023.95 would be printed as 1024.0 of the smaller unit.
  for (; value >= 1023.95 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
  return text.data();
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = std::max<std::size_t>(decode_utf8(text.substr(at)).length, 1);
    if (at + length > kQuoteLimit) return out + "...\"";
    append_quoted(out, text.substr(at, length));
    at += length;
  }
  return out + "\"";
}

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.length == 0 || is_control(c.value)) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

std::optional<std::string> closest(std::string_view word, std::span<const std::string> candidates) {
  const std::string wanted = to_lower(word);
  // About one slip in three letters is still a typing error; a short word allows one.
  std::size_t best = std::clamp<std::size_t>(wanted.size() / 3, 1, 3) + 1;
  std::optional<std::string> found;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(wanted, to_lower(candidate));
    if (distance >= best || distance >= candidate.size()) continue;
    best = distance;
    found = candidate;
  }
  return found;
}

}  // namespace nexcage
