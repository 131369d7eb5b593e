// Guests: containers whose files, network and life a cluster keeps (backends that keep guests). Of
// the nine phases they have 1, 2, 6, 7 and 9; layers, root file system, storage and network are the
// cluster's. docs/adr/0022-proxmox-guests.md
//
// What is known of a guest lies in {containers}/@guests/{id}/ and outlasts reboots: state.json and
// config.json as of any container, source.json for updates. state.json is there, with the status
// "creating" and the guest's name, before the guest is made: what a killed creation leaves is found
// by it, and removed by the next creation or by `delete`.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

/// The backend that the request is routed to keeps guests.
Result<bool> makes_guest(const Request& request, const Services& with);
/// Makes it; it does not run yet. ContainerExists before anything is made. Unsupported for options
/// that a guest cannot have, naming them. After an error nothing is left.
Result<backends::Record> create_guest(const Request& request, Services& with);

/// Is there a guest of this id?
bool is_guest(const std::string& id, const Settings& settings);
/// {containers}/@guests/{id} of a guest, else {root}/{id}: where state.json lies.
std::string record_dir(const std::string& id, const Settings& settings);
/// Ids of all guests.
Result<std::vector<std::string>> guest_ids(const Settings& settings);
struct GuestRemoval {
  bool force = false;  // also one that runs, and the record of one that is no longer ours
  bool purge = false;  // also what names it elsewhere in the cluster
};
/// Removes it from the cluster, then its record. InvalidState for a running one without `force`.
Result<> remove_guest(const std::string& id, const GuestRemoval& how, Services& with);
/// What a killed update has left is taken back, or brought to its end if the guest has changed. The
/// record is locked by the caller.
Result<> recover_guest(backends::Record& record, const backends::Backend& backend);
/// Asks it to end, and ends it when the time is over.
Result<> stop_guest(const std::string& id, std::chrono::seconds time, Services& with);

/// Another image for a guest (Backend::replace_image); empty: the one it was made from, as the
/// store or its registry has it now.
Result<> update_image(const std::string& id, const std::string& image, Services& with);
/// Takes the last update back (Backend::roll_back).
Result<> roll_back(const std::string& id, Services& with);

}  // namespace nexcage::runtime
