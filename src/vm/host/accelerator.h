// Which accelerator a machine gets. That /dev/kvm exists proves nothing: on some hosts a kernel
// does not boot with it. So it is tried, once, and the answer remembered.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/vm/host/launch.h"
#include "nexcage/vm/qemu/machine.h"

namespace nexcage::vm::host {

struct AcceleratorJob {
  std::string wanted;      // auto, kvm, tcg
  std::string init;        // libexec/nexcage/init
  std::string remembered;  // directory of answers
  std::string initrd;      // path; empty: the agent alone
  Launch launch;           // the machine that is to be booted; its kernel and its QEMU count
};

/// tcg and kvm as wanted, ConfigError for another word but auto: then kvm if the kernel, booted
/// with it, comes so far within a few seconds that its agent speaks. The answer is kept for this
/// boot of the host, this kernel and this QEMU.
Result<qemu::Accelerator> choose_accelerator(const AcceleratorJob& job);

}  // namespace nexcage::vm::host
