// The second guest of an update: made of the new image, it hands its root to the first one.
#pragma once

#include <functional>
#include <string>

#include "nexcage/backends/proxmox/guest_data.h"

namespace nexcage::backends::proxmox {

/// The update of one guest: what it has done is written before it goes on.
struct Swap {
  const Cluster& cluster;  // on the guest's node
  GuestData& data;
  const Remember& remember;
  NewTemplates& templates;

  SwapJournal& journal() const { return *data.update; }
  Result<> save() const { return remember(to_json(data)); }
};

/// Makes it, with a root at least as large as the guest's now, privileged if that is. It is
/// journal().carrier.
Result<> make_carrier(const Swap& swap, const CreateJob& job, const StorageInfo& storage,
                      const pve::Params& config, const std::string& libexec);

/// Brings its root to the guest, as an unused volume: journal().new_root. The setting for it, with
/// its size.
Result<std::string> hand_over(const Swap& swap, const StorageInfo& storage);

/// Removes it and its stand-in root, if they are there.
Result<> drop_carrier(const Cluster& cluster, SwapJournal& journal);

}  // namespace nexcage::backends::proxmox
