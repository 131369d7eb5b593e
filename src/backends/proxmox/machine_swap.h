// Other disks for a virtual machine that stays what it is.
#pragma once

#include "nexcage/backends/proxmox/guest_data.h"
#include "nexcage/backends/proxmox/machine.h"

namespace nexcage::backends::proxmox {

/// The machine gets the image of `job`: both disks are replaced, its VMID, interfaces and settings
/// stay. One that runs is stopped meanwhile. The old disks are kept as unused volumes,
/// `setup.generations` of them. Each step is in the record before it is taken; after an error the
/// machine is as it was, running if it ran, or the record says what is left to take back.
Result<> swap_machine(const Cluster& cluster, GuestData& data, const CreateJob& job,
                      const Setup& setup);

/// The newest of the kept disks come back. InvalidState: there are none, or they are gone.
Result<> swap_machine_back(const Cluster& cluster, GuestData& data, const Remember& remember);

/// What a swap that was killed has left is taken back, or, if it was done, tidied up.
Result<> settle_machine(const Cluster& cluster, GuestData& data);

}  // namespace nexcage::backends::proxmox
