// From a runtime spec to everything the vm backend will do: the machine, what is put into it, and
// the plan of the container's process. Looks at sources of mounts, changes nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/cgroup_limits.h"
#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/oci/spec.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/plan.h"
#include "nexcage/vm/host/launch.h"
#include "nexcage/vm/protocol/message.h"

namespace nexcage::backends::vm {

namespace protocol = nexcage::vm::protocol;
namespace host = nexcage::vm::host;
namespace qemu = nexcage::vm::qemu;

/// What QEMU itself takes beside the machine's memory.
inline constexpr std::uint64_t kOverhead = std::uint64_t{192} << 20;
inline constexpr std::uint64_t kLeastMemory = std::uint64_t{64} << 20;

/// A disk's file: borrowed, or ours.
struct DiskFile {
  int fd = -1;
  UniqueFd owned{};
};

/// Phase 6's product.
struct MachinePlan {
  host::Launch launch;  // its disks in the order of `disks`; descriptors are numbered at creation
  std::vector<DiskFile> disks;
  protocol::Prepare prepare;  // its plan is `plan`
  /// Files of the host that are read when the container is created.
  struct Copy {
    std::size_t source = 0;  // of `prepare`
    std::string path;
  };
  std::vector<Copy> copies;
  sys::plan::Plan plan;
  std::string initrd;                     // path; empty: the agent alone
  std::vector<std::string> file_systems;  // of the disks
  std::string cgroup;
  std::vector<CgroupLimit> cgroup_limits;
  std::string network_namespace;  // path of one to join; empty: none
  const UserNetwork* user_network = nullptr;
};

/// Unsupported or InvalidConfig naming the field; RuntimeNotAvailable without a kernel, QEMU, or
/// what serves directories.
Result<MachinePlan> plan_machine(const CreateJob& job, const Setup& setup,
                                 const sys::CgroupLayout& layout);
std::string describe(const MachinePlan& plan);

// The parts of plan_machine, one file each.

/// Board, processors, memory, kernel, command line.
Result<> plan_hardware(const CreateJob& job, const Setup& setup, MachinePlan& out);
/// Limits of the cgroup that QEMU and its helpers are in.
Result<> plan_limits(const CreateJob& job, const sys::CgroupLayout& layout, MachinePlan& out);
/// What linux.resources.blockIO says of the devices that the disks' files lie on.
void plan_throttles(const oci::Spec& spec, MachinePlan& out);
/// The root file system: source 0 of the plan.
Result<> plan_root(const CreateJob& job, MachinePlan& out);
Result<> plan_mounts(const CreateJob& job, MachinePlan& out);
/// Reads the files that are copied into the guest. Unsupported when they are too large together.
Result<> read_copies(MachinePlan& out);
/// A machine with more devices than the small board has places for gets the large one. Unsupported
/// when that has too few, too.
Result<> settle_board(MachinePlan& out);
/// Host name, keyring, mounts, devices, and all until the program: behind the root file system.
Result<> plan_inside(const CreateJob& job, MachinePlan& out);
/// Finds what serves the shares, if there are any.
Result<> find_virtiofsd(MachinePlan& out);
/// What runs in the guest as the container's process, or as a further one.
Result<sys::plan::Process> plan_guest_process(const oci::Process& process,
                                              const oci::Linux* linux_section);
/// A further process of the container, from joining it to its program.
Result<sys::plan::Plan> plan_exec(const oci::Spec& spec, const oci::Process& process);
/// One operation for each limit.
Result<std::vector<sys::plan::Operation>> plan_rlimits(const oci::Process& process);

/// Tag of the device that has the share, which is added unless there is one like it.
std::string share(MachinePlan& out, host::Share wanted);
/// Adds a disk; returns its serial number. `fd` is borrowed.
std::string add_disk(MachinePlan& out, DiskFile file, bool read_only, bool qcow2);

}  // namespace nexcage::backends::vm
