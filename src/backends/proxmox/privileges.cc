#include "nexcage/backends/proxmox/privileges.h"

#include <array>

namespace nexcage::backends::proxmox {

namespace {

using Name = std::string_view;

constexpr std::array<Name, 9> kGuests = {
    "VM.Allocate",   "VM.Audit",         "VM.Clone",          "VM.PowerMgmt",     "VM.Config.Disk",
    "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options"};
constexpr std::array<Name, 1> kNode = {"Sys.Audit"};
constexpr std::array<Name, 2> kRoots = {"Datastore.Audit", "Datastore.AllocateSpace"};
// Allocate: archives that are not used any more are removed.
constexpr std::array<Name, 3> kArchives = {"Datastore.Audit", "Datastore.AllocateTemplate",
                                           "Datastore.Allocate"};
constexpr std::array<Name, 1> kBridge = {"SDN.Use"};

constexpr std::array<Name, 2> kMachines = {"VM.Config.HWType", "VM.GuestAgent.Unrestricted"};
constexpr std::array<Name, 2> kMachinesBefore9 = {"VM.Config.HWType", "VM.Monitor"};

}  // namespace

std::span<const std::string_view> machine_privileges(const pve::Version& version) {
  if (version < pve::Version{9, 0}) return kMachinesBefore9;
  return kMachines;
}

const Privileges& lxc_privileges() {
  static constexpr Privileges kAll{
      .guests = kGuests, .node = kNode, .roots = kRoots, .archives = kArchives, .bridge = kBridge};
  return kAll;
}

}  // namespace nexcage::backends::proxmox
