// Control groups of a process that joins a container: the container's, or some below it.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/sys/cgroup.h"

namespace nexcage::backends::lxc {

/// "[CONTROLLER[,CONTROLLER...]:]PATH" of exec --cgroup into controller -> path below the
/// container's cgroup, without a leading slash; "" stands for all controllers and then stands
/// alone, as in runc. InvalidSpec otherwise. Pure.
Result<std::map<std::string, std::string>> parse_sub_cgroups(const std::vector<std::string>& words);

/// Moves the process into `cgroup`, and where `sub_cgroups` says so into one below it, which must
/// exist: InvalidConfig.
Result<> enter_cgroups(const sys::CgroupLayout& layout, const std::string& cgroup,
                       const std::vector<std::string>& sub_cgroups, pid_t pid);

}  // namespace nexcage::backends::lxc
