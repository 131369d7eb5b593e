// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nexcage {

/// One decoded character: its value and how many bytes it took. `length` 0: not valid UTF-8.
struct Utf8Char {
  std::uint32_t value = 0;
  std::size_t length = 0;
};

/// Decodes the first character of a text that is not empty.
Utf8Char decode_utf8(std::string_view text);

}  // namespace nexcage
