// Making a container: its machine is booted, its process waits.
#pragma once

#include <memory>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/vm/plan.h"
#include "nexcage/sys/cgroup.h"

namespace nexcage::backends::vm {

/// Descriptors of the helper are numbered from here.
inline constexpr int kFirstFd = 10;

std::unique_ptr<Configured> make_configured(const CreateJob& job, Setup setup,
                                            sys::CgroupLayout layout, MachinePlan plan);

/// A further process: libexec/nexcage/vm in the role of it.
Result<ExecStarted> execute_in(const Record& record, const oci::Spec& spec,
                               const ExecRequest& request, const Setup& setup);

/// What the helper says next to the one who started it. The error that it tells; RuntimeError when
/// it is gone.
struct Word {
  bool ready = false;
  UniqueFd terminal;
};
Result<Word> next_word(int channel);

}  // namespace nexcage::backends::vm
