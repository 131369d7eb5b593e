// Which accelerator a machine gets. That /dev/kvm exists proves nothing: on some hosts a kernel
// does not boot with it. So it is tried, once, and the answer remembered.
#pragma once

#include <chrono>
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
  std::string device = "/dev/kvm";    // that has to be there
  std::chrono::seconds patience{10};  // with a machine that is tried
};

/// tcg and kvm as wanted, ConfigError for another word but auto: then kvm if the kernel, booted
/// with it, comes so far within a few seconds that its agent speaks. That it does, or that the
/// machine ends before, is kept for this boot of the host and for these files; silence is tcg for
/// this once.
Result<qemu::Accelerator> choose_accelerator(const AcceleratorJob& job);

}  // namespace nexcage::vm::host
