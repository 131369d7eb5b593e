// One container of a cluster: made, found again, given another image, removed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/proxmox/cluster.h"
#include "nexcage/backends/proxmox/templates.h"
#include "nexcage/pve/notes.h"
#include "nexcage/pve/settings.h"

namespace nexcage::backends::proxmox {

/// Which guest a record speaks of: its backend_data.
struct GuestName {
  std::uint64_t vmid = 0;
  std::string node;
  std::string token;  // also in the guest's notes
};
json::Value to_json(const GuestName& name);
/// InvalidState for a record without one.
Result<GuestName> guest_name(const json::Value& backend_data);

/// The tag of guests of the image with this digest.
std::string digest_tag(const std::string& digest);

/// A guest with its settings, as they are now.
struct FoundGuest {
  GuestName name;  // with the node that has it now
  pve::Params config;
  pve::Notes notes;
};
/// Looked for on its node, then, as it may have moved, on all others: nullopt when it is on none.
/// InvalidState when the VMID belongs to a guest that is not ours (the
/// token in its notes is another).
Result<std::optional<FoundGuest>> find_guest(const Cluster& cluster, const GuestName& name);
/// The error of a guest of this VMID that has no notes yet: nobody knows whose it will be.
bool says_being_made(const Error& error);

/// What a container's spec asks of the cluster, before anything is made.
Result<pve::Mapped> plan_guest(const Cluster& cluster, const CreateJob& job,
                               const StorageInfo& storage);
/// The spec with what the configuration adds: the network of guests that name none, mount points
/// for the image's volumes when annotation org.nexcage.proxmox.volumes=GIB asks for them.
Result<oci::Spec> completed(const Cluster& cluster, const CreateJob& job,
                            const StorageInfo& storage);
/// The storage of the root volume: annotation proxmox.storage, the configuration, or the best.
Result<StorageInfo> root_storage(const Cluster& cluster, const oci::Spec& spec);

/// Makes it. What is known of it is remembered before it is made. After an error it is not there.
Result<GuestName> make_guest(const Cluster& cluster, const CreateJob& job,
                             const StorageInfo& storage, const pve::Mapped& settings,
                             const std::string& libexec);

enum class Purge : std::uint8_t { no, yes };
/// Removes exactly this guest, with the volumes that its settings name; with Purge::yes also what
/// names it elsewhere in the cluster, such as backup jobs. Not there is success.
Result<> destroy_guest(const Cluster& cluster, const GuestName& name, Purge purge = Purge::no);

}  // namespace nexcage::backends::proxmox
