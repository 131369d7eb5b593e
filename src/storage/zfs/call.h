// One run of zfs(8) or zpool(8).
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::storage::zfs {

/// Descriptors of ours that the program reads or writes instead of what we give and collect.
struct Streams {
  int input = -1;
  int output = -1;
};

/// Path of the program. RuntimeNotAvailable with the package that brings it.
Result<std::string> find_installed(const std::string& program);

/// Runs the program (a name on PATH, or a path) with these arguments in the C locale and returns
/// what it wrote. `attempted` is the frame of every error: to_error's when it fails, and
/// RuntimeNotAvailable when there is no such program; without streams Timeout after five minutes.
Result<std::string> call(const std::string& program, std::string attempted,
                         const std::vector<std::string>& arguments, Streams streams = {});

}  // namespace nexcage::storage::zfs
