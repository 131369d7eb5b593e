// The one change of a guest's settings that an update is about, and its way back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/backends/proxmox/carrier.h"

namespace nexcage::backends::proxmox {

/// Settings to be: `deleted` are no longer there.
struct Changes {
  pve::Params set;
  std::vector<std::string> deleted;
};

/// The guest's root becomes `new_root` ("VOLUME,size=4G"), with the options of the old one, and the
/// settings change with it. A guest that runs is stopped and started again. The old root is then
/// an unused volume of the guest. What it was is in the journal before anything changes.
Result<> exchange(const Swap& swap, const std::string& new_root, const Changes& changes);

/// Who takes an exchange back: the command that did it, which saw the guest a moment ago, or a
/// later one.
enum class Undo : std::uint8_t { own, left_over };

/// Takes back whatever the journal says, as far as it can: everything is tried, and the first
/// failure and all others are told. The journal is gone when nothing failed. A guest that cannot be
/// read is given its settings by the command that changed them, and is not touched by a later one.
Result<> take_back(const Cluster& cluster, GuestData& data, Undo undo);

}  // namespace nexcage::backends::proxmox
