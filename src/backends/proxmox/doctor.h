// What an administrator wants to know before the first guest: is the cluster reached, what may the
// token do, what can the storages do.
#pragma once

#include <string>
#include <vector>

#include "nexcage/backends/proxmox/cluster.h"

namespace nexcage::backends::proxmox {

/// A path of the access control and what is needed there.
struct Need {
  std::string path;
  std::vector<std::string> present, missing;  // privileges that the caller has and lacks there
};

struct Diagnosis {
  std::string place;  // how the cluster is reached
  std::string version, node;
  std::vector<StorageInfo> storages;
  std::string root_storage, template_storage;  // what would be chosen; empty: none
  std::vector<Need> needs;                     // every path that was looked at
  std::vector<std::string> problems;           // sentences
  /// What is wanted for virtual machines beside: a storage for imports, one for disks, privileges.
  /// What is missing there is no problem of containers.
  std::string import_storage, disk_storage;  // empty: none
  std::vector<Need> machine_needs;
  bool is_well() const;
  /// The commands that make the role, or complete it where it exists, and give it to `who`, a user
  /// or a token, where something is missing; empty when nothing is.
  std::vector<std::string> repair(const std::string& who) const;
};

/// Asks for everything; only a cluster that cannot be reached is an error.
Result<Diagnosis> diagnose(const Cluster& cluster);

}  // namespace nexcage::backends::proxmox
