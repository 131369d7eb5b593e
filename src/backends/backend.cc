// What a backend answers that has no other answer of its own.
#include "nexcage/backends/backend.h"

#include "nexcage/sys/cgroup_stats.h"

namespace nexcage::backends {

Result<> Backend::update(const Record& /*record*/, const oci::Resources& /*resources*/) const {
  return fail(Errc::Unsupported,
              "backend " + std::string(name()) + " cannot change the limits of a container");
}

Result<sys::CgroupLayout> Backend::cgroup_dirs(const Record& record) const {
  NX_TRY(const sys::CgroupLayout layout, sys::detect_cgroups());
  return sys::cgroup_dirs_of_process(layout, record.init.pid);
}

}  // namespace nexcage::backends
