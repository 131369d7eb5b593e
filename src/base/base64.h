// Base64 (RFC 4648, section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nexcage {

/// With padding.
std::string base64_encode(std::string_view bytes);
/// The padding may be missing; nullopt for any character outside the alphabet, white space
/// included.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace nexcage
