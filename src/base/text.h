// Small text helpers that the standard library of GCC 12 lacks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage {

/// The parts between the separators; n separators give n + 1 parts, so "" is one empty part.
std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
/// Without ASCII white space at both ends.
std::string_view trim(std::string_view text);
/// ASCII letters only.
std::string to_lower(std::string_view text);
/// Whole text as an unsigned decimal number; nullopt on anything else (sign, space, overflow).
std::optional<std::uint64_t> parse_u64(std::string_view text);
std::optional<std::int64_t> parse_i64(std::string_view text);
/// "64M", "1g", "512", "10 GiB": bytes. Suffixes b, k, m, g, t, p (and KiB ...), powers of 1024 as
/// Docker and Podman read them. InvalidConfig otherwise.
Result<std::uint64_t> parse_bytes(std::string_view text);
/// 12345678 -> "11.8 MiB".
std::string format_bytes(std::uint64_t bytes);
/// Quoted for an error message: control characters and quotes escaped, cut at 120 bytes.
std::string quote(std::string_view text);
/// True when every byte is printable ASCII or part of a valid UTF-8 sequence, no control
/// characters.
bool is_printable(std::string_view text);
/// The candidate closest to `word` by edit distance, if one is close enough to be a typing error.
std::optional<std::string> closest(std::string_view word, std::span<const std::string> candidates);

}  // namespace nexcage
