// Another root file system for a guest that stays what it is.
#pragma once

#include "nexcage/backends/proxmox/guest_data.h"

namespace nexcage::backends::proxmox {

/// The guest gets the image of `job`: its root volume is replaced, its VMID, network, mount points
/// and settings stay. A running guest is stopped for the exchange and started again. The old root
/// is kept, `setup.generations` of them. Each step is in the record before it is taken; after an
/// error the guest is as it was, running if it ran, or the record says what is left to take back.
Result<> swap_image(const Cluster& cluster, GuestData& data, const CreateJob& job,
                    const std::string& libexec);

/// The newest of the kept roots comes back, and what was set with it. InvalidState: there is none,
/// or its volume is gone.
Result<> swap_back(const Cluster& cluster, GuestData& data, const Remember& remember);

/// Volumes that are of no use any more lose their places; those that cannot go yet keep them.
void tidy(const Cluster& cluster, GuestData& data);
/// The same for an update that another command has done: the guest may be gone since.
Result<> settle_done(const Cluster& cluster, GuestData& data);
/// A guest's tags with another image's in the place of the one it has.
std::string tags_for(const std::string& tags, const std::string& digest);

/// What a swap that was killed has left is taken back, or, if it was done, tidied up. False: there
/// was nothing.
Result<bool> settle(const Cluster& cluster, GuestData& data);

}  // namespace nexcage::backends::proxmox
