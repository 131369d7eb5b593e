// Volumes in a guest's settings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/backends/proxmox/guest.h"

namespace nexcage::backends::proxmox {

/// "local:100/vm-100-disk-0.raw" of "local:100/vm-100-disk-0.raw,size=4G,ro=1".
std::string volume_of(const std::string& setting);
/// The volume with its size, which is information for people, and no other option.
std::string with_size(const std::string& setting);
/// GiB, rounded up; 0 when the setting does not say.
std::uint64_t gib_of(const std::string& setting);
/// The value of a setting; empty when it is not there.
std::string text_of(const pve::Params& params, const std::string& name);
/// The setting that is a guest's root file system.
const char* root_setting(GuestKind kind);
/// All volumes that the settings name: root, disks, mount points, unused ones.
std::vector<std::string> volumes_in(const pve::Params& config);
/// The first "unusedN" that is not there.
std::string free_unused(const pve::Params& config);
/// The "unusedN" that names the volume; empty: none does.
std::string unused_of(const pve::Params& config, const std::string& volume);

/// Is a volume of the guest there, and not only named? `volume`: "local:100/vm-100-disk-0.raw".
Result<bool> has_volume(const Cluster& cluster, std::uint64_t vmid, const std::string& volume);
/// Removes the setting that calls the volume unused, and with it the volume, unless the guest has
/// it as its root. A guest that is gone is success; InvalidState when it is not ours, not on the
/// cluster's node, or its root is not `root`.
Result<> forget_unused(const Cluster& cluster, const GuestName& name, const std::string& volume,
                       const std::string& root);

}  // namespace nexcage::backends::proxmox
