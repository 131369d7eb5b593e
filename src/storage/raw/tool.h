// The programs that make and check file systems.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/sys/process.h"

namespace nexcage::storage::raw {

struct Tool {
  enum class ParentDies : std::uint8_t { die_too, go_on };
  std::vector<std::string> argv;
  std::vector<std::string> env;  // beside PATH and the C locale
  std::string cwd;
  std::string input;
  std::vector<std::pair<int, int>> fds;  // as in sys::Command
  int accepted = 0;  // exit statuses whose bits are all among these are no error
  ParentDies parent_dies = ParentDies::die_too;
};

/// Runs it to its end, however long that takes. FileError with what it said; with ENOSPC when it
/// says that the file system is full. RuntimeNotAvailable when it is not installed.
Result<sys::Output> run_tool(const Tool& tool);

}  // namespace nexcage::storage::raw
