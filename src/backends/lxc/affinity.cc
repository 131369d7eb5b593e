#include "nexcage/backends/lxc/affinity.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "nexcage/backends/lxc/plan.h"

namespace nexcage::backends::lxc {

Result<Affinity> affinity_of(const oci::Process& process, const oci::Spec& spec) {
  auto wanted = process.exec_cpu_affinity;
  if (!wanted && spec.process) wanted = spec.process->exec_cpu_affinity;
  if (!wanted) return Affinity{};
  constexpr std::uint64_t kMostCpus = 8192;  // NR_CPUS of the largest kernels
  Affinity out;
  NX_TRY(out.initial, bit_mask(wanted->initial, kMostCpus, "process.execCPUAffinity.initial"));
  NX_TRY(out.final, bit_mask(wanted->final, kMostCpus, "process.execCPUAffinity.final"));
  return out;
}

Result<> set_affinity(pid_t pid, const std::string& mask, const char* which) {
  if (mask.empty()) return {};
  // The system call: it takes a mask of any size, the function of libc one of its own type.
  if (::syscall(SYS_sched_setaffinity, pid, mask.size(), mask.data()) < 0)
    return fail_errno(std::string("process.execCPUAffinity.") + which);
  return {};
}

}  // namespace nexcage::backends::lxc
