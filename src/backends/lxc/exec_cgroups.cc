#include "nexcage/backends/lxc/exec_cgroups.h"

#include <fcntl.h>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::lxc {
namespace {

std::unexpected<Error> bad(const std::string& word, const std::string& why) {
  return fail(Errc::InvalidSpec, "--cgroup " + quote(word) + ": " + why);
}

/// "/a/../b/" -> "b": never above the container's own.
std::string below(const std::string& path) { return sys::clean_path("/" + path).substr(1); }

/// What the words say about this hierarchy; empty when nothing.
std::string sub_path_of(const sys::CgroupHierarchy& hierarchy,
                        const std::map<std::string, std::string>& paths) {
  if (const auto all = paths.find(""); all != paths.end()) return all->second;
  for (const std::string& controller : hierarchy.controllers)
    if (const auto one = paths.find(controller); one != paths.end()) return one->second;
  return "";
}

}  // namespace

Result<std::map<std::string, std::string>> parse_sub_cgroups(
    const std::vector<std::string>& words) {
  std::map<std::string, std::string> paths;
  for (const std::string& word : words) {
    const std::vector<std::string> parts = split(word, ':');
    if (parts.size() > 2) return bad(word, "expected [CONTROLLER:]PATH");
    if (parts.size() == 1 && words.size() > 1)
      return bad(word, "one of several needs a controller before the path");
    if (below(parts.back()).empty()) return bad(word, "names no cgroup below the container's");
    if (parts.size() == 1) {
      paths[""] = below(word);
      continue;
    }
    for (const std::string& controller : split(parts[0], ',')) {
      if (controller.empty()) return bad(word, "a controller has no name");
      paths[controller] = below(parts[1]);
    }
  }
  return paths;
}

Result<> enter_cgroups(const sys::CgroupLayout& layout, const std::string& cgroup,
                       const std::vector<std::string>& sub_cgroups, pid_t pid) {
  NX_TRY(const auto paths, parse_sub_cgroups(sub_cgroups));
  for (const auto& [controller, path] : paths)
    if (!controller.empty() && layout.with(controller) == nullptr)
      return fail(Errc::Unsupported, "--cgroup " + controller + ":" + path +
                                         ": this host has no cgroup controller " +
                                         quote(controller));
  // All are looked for before the process goes into the first.
  std::vector<std::string> directories;
  for (const sys::CgroupHierarchy& hierarchy : layout.hierarchies) {
    const std::string own = hierarchy.mount_point + "/" + cgroup;
    const std::string sub = sub_path_of(hierarchy, paths);
    NX_TRY(const bool joined, sys::exists(AT_FDCWD, own));
    if (sub.empty() || !joined) continue;
    directories.push_back(own + "/" + sub);
    NX_TRY(const bool there, sys::exists(AT_FDCWD, directories.back()));
    if (!there)
      return fail(Errc::InvalidConfig, "--cgroup: " + directories.back() + " does not exist");
  }
  NX_CHECK(sys::Cgroup(layout, cgroup).add_process(pid), "enter the container's cgroup");
  for (const std::string& directory : directories) {
    NX_TRY(const UniqueFd file, sys::open_at(AT_FDCWD, directory + "/cgroup.procs", O_WRONLY));
    NX_CHECK(sys::write_all(file.get(), std::to_string(pid)), "enter " + directory);
  }
  return {};
}

}  // namespace nexcage::backends::lxc
