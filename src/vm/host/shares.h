// Directories and files of the host for the guest: a virtiofsd for each.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/host/launch.h"

namespace nexcage::vm::host {

struct ServedShare {
  std::string source, tag;  // as in Share
  UniqueFd connection;      // for QEMU
  sys::Child daemon;
};

/// Gives this process a mount namespace of its own, mounts every share there (read-only ones are so
/// for the daemon too: the guest's own kernel is no guard), and starts a daemon on each. With an
/// empty list nothing is done. RuntimeNotAvailable when the daemon is missing.
Result<std::vector<ServedShare>> serve_shares(const Launch& launch);

/// The daemon's command line: it serves `directory` to who connects to descriptor `fd`. Pure.
std::vector<std::string> virtiofsd_argv(const Launch& launch, const std::string& directory, int fd);

}  // namespace nexcage::vm::host
