// What a token needs for guests of one kind: one table for each backend, which `pve doctor`
// compares with what the token has. The README's role is all of it together.
#pragma once

#include <span>
#include <string_view>

#include "nexcage/pve/version.h"

namespace nexcage::backends::proxmox {

/// Names of privileges, by the path of the access control where they are needed.
struct Privileges {
  std::span<const std::string_view> guests;    // /vms, or /pool/POOL
  std::span<const std::string_view> node;      // /nodes/NODE
  std::span<const std::string_view> roots;     // /storage/STORAGE, where guests lie
  std::span<const std::string_view> archives;  // /storage/STORAGE, where templates lie
  std::span<const std::string_view> bridge;    // /sdn/zones/localnetwork/BRIDGE
};

/// Those of backend proxmox-lxc.
const Privileges& lxc_privileges();
/// What backend proxmox-vm needs on the paths of guests beside those: what hardware a machine has,
/// and its agent.
std::span<const std::string_view> machine_privileges(const pve::Version& version);

}  // namespace nexcage::backends::proxmox
