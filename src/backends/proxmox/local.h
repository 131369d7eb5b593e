// This machine as a node of a cluster: the API is reached at its own address, as root@pam.
#pragma once

#include <optional>
#include <string>

#include "nexcage/base/error.h"

namespace nexcage::backends::proxmox {

/// The node's name; nullopt when this machine is none, or the caller is not root.
Result<std::optional<std::string>> local_node();

/// Where this node's API is.
inline constexpr const char* kLocalHost = "127.0.0.1:8006";

/// The certificate that it shows (PEM): the administrator's own, or the cluster's.
Result<std::string> local_certificate();

/// A ticket of root@pam, made by the node's own library as its login page would, without a
/// password: what root of a node may. Secret, good for two hours.
/// RuntimeNotAvailable: no perl; ProxmoxError with its words: no library, no cluster.
Result<std::string> local_ticket();

}  // namespace nexcage::backends::proxmox
