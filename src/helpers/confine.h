// Taking power away from a helper process before it reads what strangers made.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/helpers/syscall_filter.h"
#include "nexcage/sys/caps.h"

namespace nexcage::helpers {

/// What the process keeps.
struct Confinement {
  std::vector<std::string> read_only;   // files and directory trees that may be read
  std::vector<std::string> read_write;  // trees in which anything may be made, changed, removed
  sys::CapSet capabilities = 0;         // bits of CAP_*; those not held anyway are no error
  Network network = Network::none;
};

/// Irrevocably, for the calling (single-threaded) process and its children: no_new_privs;
/// capability sets cut to `capabilities` (bounding, inheritable and ambient emptied); Landlock
/// rules for the paths, where the kernel has Landlock (5.13): without it the capability cut stands
/// alone and this is logged at debug level; the system call filter of syscall_filter.h. Missing
/// paths are skipped. Descriptors that are open
/// stay usable.
Result<> confine(const Confinement& keep);

/// What name resolution and the system's certificates need to read.
const std::vector<std::string>& network_files();

}  // namespace nexcage::helpers
