// What a record remembers of its guest: which one it is, the roots that it had before, and what an
// update that is under way has made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/proxmox/guest.h"

namespace nexcage::backends::proxmox {

/// What an update or its way back has done so far. On disk before each step, so that it can be
/// taken back by another command if this one is killed.
struct SwapJournal {
  std::optional<GuestName> carrier;  // the second guest
  std::string storage, stand_in;     // its stand-in root: a volume's name on a storage
  std::string key;                   // "unused3" of the guest: what is there is the new root
  std::vector<std::string> had;      // volumes that the guest had before anything came to `key`
  std::string new_root;              // volume
  bool stops_guest = false;          // it runs and is to run again
  pve::Params before;                // settings that the exchange changes, as they were
  std::vector<std::string> added;    // settings that it makes
};

struct GuestData {
  GuestName name;
  std::vector<pve::Generation> kept;  // newest first
  std::optional<SwapJournal> update;
  std::uint64_t changes = 0;       // exchanges of the root that are done
  std::string root;                // volume: the root since the last of them
  std::vector<std::string> spare;  // volumes that are to lose their places among the unused
};

json::Value to_json(const GuestData& data);
/// InvalidState for a record that names no guest.
Result<GuestData> guest_data(const json::Value& backend_data);

}  // namespace nexcage::backends::proxmox
