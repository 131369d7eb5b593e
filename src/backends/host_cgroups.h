// The cgroup of a container by what was recorded of it, for backends that act on it themselves.
#pragma once

#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/sys/cgroup.h"

namespace nexcage::backends {

class HostCgroups {
 public:
  /// The cgroup at this path in every hierarchy (see sys::Cgroup); valid as long as this object.
  /// The host's hierarchies are read once: the status of many containers is asked in a row.
  Result<sys::Cgroup> at(const std::string& path) const {
    if (!layout_) {
      NX_TRY(layout_, sys::detect_cgroups());
    }
    return sys::Cgroup(*layout_, path);
  }

 private:
  mutable std::optional<sys::CgroupLayout> layout_;
};

}  // namespace nexcage::backends
