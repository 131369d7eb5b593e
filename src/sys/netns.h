// Network namespaces that a file keeps alive (network_namespaces(7), ip-netns(8)).
#pragma once

#include <string>

#include "nexcage/base/error.h"

namespace nexcage::sys {

/// Makes a network namespace with its loopback interface up and mounts it on the file `path`, which
/// is created (0444) and must not exist; it stays when the mount fails. The calling thread is back
/// in its own namespace afterwards; a process that cannot go back aborts.
Result<> make_network_namespace(const std::string& path);

/// Takes the mount and the file of `make_network_namespace` away. Missing is success.
Result<> remove_network_namespace(const std::string& path);

/// True for a file that is a network namespace (ioctl_ns(2)).
Result<bool> is_network_namespace(const std::string& path);

}  // namespace nexcage::sys
