// The text of a .map file, five lines:
//
//   nexcage-partial 1
//   SIZE BOOT-ID
//   written BEGIN-END ...
//   durable BEGIN-END ...
//   check HEX                  FNV-1a of the lines above: a write that was cut shows
#include <array>
#include <cstdio>

#include "nexcage/base/text.h"
#include "nexcage/registry/client/staging.h"

namespace nexcage::registry::client {

namespace {

constexpr std::string_view kFirstLine = "nexcage-partial 1";
constexpr std::string_view kWritten = "written ";
constexpr std::string_view kDurable = "durable ";

std::string checksum(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  std::array<char, 17> hex{};
  (void)std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(hash));
  return hex.data();
}

}  // namespace

std::string to_text(const PartialMap& map) {
  std::string text(kFirstLine);
  text += "\n" + std::to_string(map.size) + " " + map.boot;
  text += "\n" + std::string(kWritten) + map.written.str();
  text += "\n" + std::string(kDurable) + map.durable.str() + "\n";
  return text + "check " + checksum(text) + "\n";
}

std::optional<PartialMap> parse_partial_map(std::string_view text) {
  const std::size_t check = text.find("check ");
  if (check == std::string_view::npos) return std::nullopt;
  // What follows the fifth line is left of an older, longer map.
  const std::vector<std::string> lines = split(text.substr(0, check), '\n');
  const std::string_view sum = text.substr(check + 6, 17);
  if (sum != checksum(text.substr(0, check)) + "\n" || lines.size() != 5 || lines[0] != kFirstLine)
    return std::nullopt;
  const std::size_t space = lines[1].find(' ');
  if (space == std::string::npos) return std::nullopt;
  const auto size = parse_u64(std::string_view(lines[1]).substr(0, space));
  if (!size || !lines[2].starts_with(kWritten) || !lines[3].starts_with(kDurable))
    return std::nullopt;
  auto written = Intervals::parse(std::string_view(lines[2]).substr(kWritten.size()), *size);
  auto durable = Intervals::parse(std::string_view(lines[3]).substr(kDurable.size()), *size);
  if (!written || !durable) return std::nullopt;
  return PartialMap{.size = *size,
                    .boot = lines[1].substr(space + 1),
                    .written = *std::move(written),
                    .durable = *std::move(durable)};
}

Intervals usable(const PartialMap& map, std::uint64_t size, std::string_view boot) {
  if (map.size != size) return {};
  return map.boot == boot ? map.written : map.durable;
}

}  // namespace nexcage::registry::client
