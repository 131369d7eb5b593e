// What the source files of Cgroup share; users take cgroup.h.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/fs_tree.h"

namespace nexcage::sys {

/// Refuses the root of the hierarchies: acting on it would be acting on the whole host.
Result<> check_own(const Cgroup& cgroup);
/// Walks one cgroup directory and those below; missing is success.
Result<> walk_cgroup(const std::string& dir, const TreeWalk& walk);
/// One write(2) into a file of a cgroup directory.
Result<> write_cgroup_file(const std::string& dir, const std::string& file, std::string_view value);
/// Sends the signal to every process once; how many were still there to get it. Never to ourselves.
Result<std::size_t> signal_once(const Cgroup& cgroup, int signal);

}  // namespace nexcage::sys
