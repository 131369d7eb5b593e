// What execve(2) needs of a Command; users take process.h.
#pragma once

#include <string>
#include <vector>

#include "nexcage/sys/process.h"

namespace nexcage::sys {

/// The path to execute: `program`, else argv[0], looked up on PATH unless it has a slash. With an
/// exec_fd only a name for messages. RuntimeNotAvailable when PATH has none.
Result<std::string> program_of(const Command& command);
/// The strings themselves with a null pointer at the end; they must outlive it.
std::vector<char*> pointers(const std::vector<std::string>& strings);
/// The environment that the command asks for, null pointer at the end.
std::vector<char*> environment(const Command& command);

}  // namespace nexcage::sys
