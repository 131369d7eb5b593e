// Values that end in a line of somebody's configuration.
#pragma once

#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::pve {

/// InvalidConfig naming the field when the value holds a control character (C0, DEL, C1): Proxmox
/// VE writes guests' settings into files of lines, and what a value smuggles in there is a setting
/// of the host. Values of images are hostile.
Result<> check_line(std::string_view field, std::string_view value);

}  // namespace nexcage::pve
