// Reading small files that are whole at any time, in as few system calls as possible: for commands
// that look at hundreds of containers.
#pragma once

#include <string>

#include "nexcage/base/error.h"

namespace nexcage::sys {

/// The content of a file of /proc, of a cgroup, or of one that is only ever replaced by rename, in
/// one read(2) where it has less than 4 KiB. Errors as of read_file().
Result<std::string> read_once(const std::string& path);

}  // namespace nexcage::sys
