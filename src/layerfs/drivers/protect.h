// Files that nobody is to change any more: fs-verity where the file system has it (the kernel
// checks every block that is read), else the immutable flag (ioctl_fs(2)), else nothing.
#pragma once

#include <cstdint>
#include <string>

#include "nexcage/base/error.h"

namespace nexcage::layerfs {

enum class Protect : std::uint8_t { no, yes };

/// Protects the file `name` in `dir`, which nobody has open for writing. Returns its fs-verity
/// digest ("sha256:..."), empty where it got the immutable flag only, or nothing because the file
/// system has neither.
Result<std::string> protect_file(int dir, const std::string& name);

/// Takes the immutable flag off the regular files right in `dir`, which otherwise cannot be
/// removed.
Result<> unprotect_files(int dir);

/// fs-verity digest ("sha256:...") of an open file; empty when it has none.
Result<std::string> measure_verity(int fd);

}  // namespace nexcage::layerfs
