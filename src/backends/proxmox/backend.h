// Backends `proxmox-lxc` and `proxmox-vm`: containers and virtual machines that Proxmox VE itself
// runs and manages.
#pragma once

#include <memory>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/proxmox/cluster.h"

namespace nexcage::backends::proxmox {

std::unique_ptr<Backend> make_lxc(const Setup& setup);
std::unique_ptr<Backend> make_vm(const Setup& setup);

/// The cluster of the configuration.
Result<Cluster> open_cluster(const std::string& libexec, const ProxmoxSetup& setup,
                             GuestKind kind = GuestKind::lxc);

}  // namespace nexcage::backends::proxmox
