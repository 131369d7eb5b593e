// Whether something may be changed through what is opened or made.
#pragma once

#include <cstdint>

namespace nexcage::sys {

enum class Access : std::uint8_t { read_only, read_write };

}  // namespace nexcage::sys
