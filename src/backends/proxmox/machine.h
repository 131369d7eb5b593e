// A virtual machine of a cluster that runs one image: its settings and its disks.
#pragma once

#include <string>
#include <vector>

#include "nexcage/backends/proxmox/guest.h"
#include "nexcage/backends/proxmox/templates.h"
#include "nexcage/vm/protocol/message.h"

namespace nexcage::backends::proxmox {

/// What a spec asks for, before anything is made: settings without disks, notes and VMID, and what
/// the machine's own agent sets up.
struct MachinePlan {
  pve::Params params;
  std::vector<vm::protocol::Interface> interfaces;
};

/// Unsupported for annotations that a machine has no setting for, and for an address by DHCPv6;
/// InvalidConfig for values that are none, and for control characters.
/// `present`: settings of a machine that is there, whose interfaces keep their hardware addresses.
Result<MachinePlan> plan_machine_guest(const Cluster& cluster, const CreateJob& job,
                                       const VmSetup& machines, const pve::Params& present = {});

/// Limits as settings, those that `resources` names. Unsupported naming what there is no setting
/// for.
Result<pve::Params> machine_limits(const oci::Resources& resources);

/// One of "net0": a container's setting (name=, bridge=, ip=, gw= ...) as a machine's, and as the
/// interface that its agent sets up. `fallback_mac` is taken when the setting names none.
struct MachineNic {
  std::string setting;
  vm::protocol::Interface inside;
};
Result<MachineNic> machine_nic(const std::string& name, const std::string& value,
                               const std::string& fallback_mac);

/// Makes the machine. What is known of it is remembered before it is made. After an error it is not
/// there, and nothing of it.
Result<json::Value> make_machine(const Cluster& cluster, const CreateJob& job, const Setup& setup,
                                 const StorageInfo& storage, MachinePlan plan);

/// The boot disk for a container of this job, brought to the storage for uploads: the settings of
/// both disks as they are asked for, and what is to be removed there afterwards.
struct MachineDisks {
  std::string boot_file;                 // here; removed with bring_disks()
  std::string boot_volume, root_volume;  // on the storage for uploads
};
/// Makes the boot disk's file and names its place there, before anything is brought.
Result<MachineDisks> make_disks(const Cluster& cluster, const CreateJob& job, const Setup& setup,
                                std::vector<vm::protocol::Interface> interfaces);
/// Uploads both; the root disk only when it is not there.
Result<> bring_disks(const Cluster& cluster, const CreateJob& job, MachineDisks& disks,
                     NewTemplates& templates);
/// virtio0 and virtio1 as copies of them on `storage`.
Result<pve::Params> disk_settings(const MachineDisks& disks, const std::string& storage);
/// The root disk gets room to write: twice what it has, 4 GiB and `least_gib` at least.
Result<> grow_root(const Cluster& cluster, std::uint64_t vmid, std::uint64_t least_gib);
/// Removes a volume of the storage for uploads; not there is success.
Result<> remove_upload(const Cluster& cluster, const std::string& volume);

/// Removes the file that a killed creation has left on the storage for uploads, if `backend_data`
/// names one.
Result<> remove_boot_file(const Cluster& cluster, const json::Value& backend_data);

}  // namespace nexcage::backends::proxmox
