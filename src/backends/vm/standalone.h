// A container in a machine that has no helper of ours beside it: what its agent is told on the boot
// disk.
#pragma once

#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/vm/boot/kernel.h"
#include "nexcage/vm/protocol/standalone.h"

namespace nexcage::backends::vm {

/// Serial number of the disk that is the container's root file system, ext4.
inline constexpr const char* kRootSerial = "nexcage-root";

/// Processors and memory (bytes, whole MiB) of the machine: from vm.hwConfig, the limits, the
/// configuration.
struct MachineSize {
  unsigned processors = 1;
  std::uint64_t memory = 0;
};
Result<MachineSize> machine_size(const oci::Spec& spec, const VmSetup& setup);

/// The kernel that such machines boot: the spec's, the configured one, or the one that `vm setup`
/// has prepared. RuntimeNotAvailable.
Result<nexcage::vm::boot::Kernel> machine_kernel(const oci::Spec& spec, const VmSetup& setup);

/// Unsupported or InvalidConfig naming the field: as for a machine of this host, and nothing of
/// this host's files can be shared with it but small files that are only read.
Result<nexcage::vm::protocol::Standalone> plan_standalone(
    const CreateJob& job, std::vector<nexcage::vm::protocol::Interface> interfaces,
    int stop_signal);

/// A further process there: the plan of an Exec. Unsupported for options that do not reach it.
Result<std::string> plan_standalone_exec(const oci::Spec& spec, const oci::Process& process);

}  // namespace nexcage::backends::vm
