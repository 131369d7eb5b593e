// The machine's console, as the container's terminal or as the place of its output.
#pragma once

#include <string_view>

#include "nexcage/base/unique_fd.h"

namespace nexcage::keeper {

/// Opens it; what is typed there comes as it is typed, and ends of lines go out as terminals want
/// them. -1 where the machine has none: what is written is lost.
UniqueFd open_console();

/// Writes a line of ours and waits until it is out, two seconds at most: nobody has to look.
void write_line(int console, std::string_view text);

}  // namespace nexcage::keeper
