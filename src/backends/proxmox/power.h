// Guests that are started and stopped, to the end.
#pragma once

#include <chrono>
#include <cstdint>

#include "nexcage/backends/proxmox/cluster.h"

namespace nexcage::backends::proxmox {

Result<bool> is_running(const Cluster& cluster, std::uint64_t vmid);

/// Runs already is success.
Result<> start_guest(const Cluster& cluster, std::uint64_t vmid);

/// Asks it to end, ends it when the time is over, and waits until it has ended: what a cluster with
/// high availability answers at once is only that it has understood. Has ended already is success.
Result<> stop_guest(const Cluster& cluster, std::uint64_t vmid, std::chrono::seconds time);

/// Ends it at once, also while a request to end is waited for.
Result<> kill_guest(const Cluster& cluster, std::uint64_t vmid);

}  // namespace nexcage::backends::proxmox
