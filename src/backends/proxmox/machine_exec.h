// Another process in a virtual machine of the cluster, by the guest agent API.
#pragma once

#include "nexcage/backends/backend.h"
#include "nexcage/backends/proxmox/cluster.h"

namespace nexcage::backends::proxmox {

/// Starts it: a child of the caller stands for it, writes what it has written when it has ended,
/// and ends with its exit code. Its input are at most 64 KiB, read before it starts, of a file or a
/// pipe. Unsupported for a terminal and for what does not reach another machine.
Result<ExecStarted> exec_in_machine(const Cluster& cluster, std::uint64_t vmid,
                                    const oci::Spec& spec, const ExecRequest& request);

}  // namespace nexcage::backends::proxmox
