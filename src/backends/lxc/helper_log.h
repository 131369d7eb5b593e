// What liblxc wrote about its failure.
#pragma once

#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::backends::lxc {

/// The first error in liblxc's log that is one: without time, source line and known harmless ones.
/// Empty when there is none. Pure.
std::string first_error(std::string_view log);

/// Adds it to an error that came of the helper or of init's silence.
Error add_helper_log(Error error, const std::string& log_file);

}  // namespace nexcage::backends::lxc
