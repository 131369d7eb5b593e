// Making cgroups (cgroups(7); kernel documentation cgroup-v1/cpusets, cgroup-v2 "Enabling and
// Disabling").
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "nexcage/base/text.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/cgroup_parts.h"
#include "nexcage/sys/fs.h"

namespace nexcage::sys {
namespace {

/// A new cpuset of version 1 has no processors and no memory and takes no process: it begins with
/// what the one above has.
Result<> fill_cpuset(const std::string& parent, const std::string& dir) {
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    NX_TRY(const std::string own, read_file(AT_FDCWD, dir + file));
    if (!trim(own).empty()) continue;
    NX_TRY(const std::string above, read_file(AT_FDCWD, parent + file));
    NX_CHECK(write_cgroup_file(dir, file + 1, trim(above)));
  }
  // The same for what somebody makes below.
  NX_CHECK(write_cgroup_file(dir, "cgroup.clone_children", "1"));
  return {};
}

/// What the directory has is made available below it. A controller that the kernel does not give
/// (EBUSY: the group has processes of its own) is missed only by who sets a limit of it.
void enable_controllers(const CgroupHierarchy& hierarchy, const std::string& dir) {
  for (const std::string& controller : hierarchy.controllers)
    (void)write_cgroup_file(dir, "cgroup.subtree_control", "+" + controller);
}

Result<> make_in(const CgroupHierarchy& hierarchy, const std::string& path) {
  constexpr mode_t kMode = 0755;
  const bool cpuset = !hierarchy.v2() && hierarchy.controllers.front() == "cpuset";
  std::string parent = hierarchy.mount_point;
  for (const std::string& name : split(path, '/')) {
    std::string dir = parent + "/" + name;
    const bool made = ::mkdir(dir.c_str(), kMode) == 0;
    if (!made && errno != EEXIST) return fail_errno("make cgroup " + dir);
    // Who made the parent enabled its controllers already.
    if (made && hierarchy.v2()) enable_controllers(hierarchy, parent);
    if (cpuset) NX_CHECK(fill_cpuset(parent, dir));
    parent = std::move(dir);
  }
  return {};
}

}  // namespace

Result<> Cgroup::create() const {
  NX_CHECK(check_own(*this));
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies)
    NX_CHECK(make_in(hierarchy, path_), "make cgroup " + path_);
  return {};
}

Result<UniqueFd> Cgroup::create_v2() const {
  NX_CHECK(check_own(*this));
  const std::string own = dir("");
  if (own.empty()) return UniqueFd();
  NX_CHECK(make_in(*layout_.with(""), path_), "make cgroup " + path_);
  return open_at(AT_FDCWD, own, O_PATH | O_DIRECTORY);
}

std::vector<std::string> Cgroup::v1_thread_files() const {
  std::vector<std::string> files;
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies)
    if (!hierarchy.v2()) files.push_back(hierarchy.mount_point + "/" + path_ + "/tasks");
  return files;
}

}  // namespace nexcage::sys
