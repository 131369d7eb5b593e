// The spec's seccomp section compiled to a BPF program: in the runtime, so that the first process
// needs no library for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"

namespace nexcage::backends {

struct SeccompFilter {
  std::string program;      // array of struct sock_filter
  std::uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_* for seccomp(2)
  std::vector<std::string>
      unknown_syscalls;  // names this libseccomp does not know: left out, as runc does
};

/// InvalidSpec for rules that contradict each other, and for SCMP_ACT_NOTIFY without listenerPath
/// or as the default; Unsupported for flags this build does not know. With SCMP_ACT_NOTIFY the
/// flags have SECCOMP_FILTER_FLAG_NEW_LISTENER: seccomp(2) then returns a descriptor.
Result<SeccompFilter> compile_seccomp(const oci::Seccomp& seccomp);

/// The spec's words for what compile_seccomp accepts, for `features`.
std::vector<std::string> seccomp_actions();
std::vector<std::string> seccomp_architectures();

}  // namespace nexcage::backends
