// Which cgroup hierarchies there are (cgroups(7)).
#include <fcntl.h>

#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::sys {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// One line of /proc/PID/cgroup: "4:cpu,cpuacct:/path"; version 2 is "0::/path".
struct ProcLine {
  int id = 0;
  std::string controllers;
  std::string path;
};

std::optional<ProcLine> parse_proc_line(std::string_view line) {
  const std::size_t first = line.find(':');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = line.find(':', first + 1);
  const auto id = parse_u64(line.substr(0, first));
  if (second == std::string_view::npos || !id) return std::nullopt;
  return ProcLine{static_cast<int>(*id), std::string(line.substr(first + 1, second - first - 1)),
                  std::string(line.substr(second + 1))};
}

std::vector<MountInfo> cgroup_mounts(std::string_view mountinfo) {
  std::vector<MountInfo> mounts;
  for (std::string_view line : lines_of(mountinfo)) {
    // Hosts with thousands of mounts: only the few lines that matter are taken apart.
    if (line.find(" - cgroup") == std::string_view::npos) continue;
    auto parsed = parse_mountinfo(line);
    if (parsed && !parsed->empty()) mounts.push_back(std::move(parsed->front()));
  }
  return mounts;
}

bool has_word(std::string_view list, std::string_view word) {
  const std::vector<std::string> words = split(list, ',');
  return std::ranges::find(words, word) != words.end();
}

bool shows(const MountInfo& mount, const ProcLine& hierarchy) {
  if (hierarchy.id == 0) return mount.fstype == "cgroup2";
  const std::string first = hierarchy.controllers.substr(0, hierarchy.controllers.find(','));
  return mount.fstype == "cgroup" && has_word(mount.super_options, first);
}

/// Where the hierarchy is mounted; a mount of its root is preferred to one of a part of it, as a
/// container's bind mounts are.
const MountInfo* mount_of(const std::vector<MountInfo>& mounts, const ProcLine& hierarchy) {
  const MountInfo* found = nullptr;
  for (const MountInfo& mount : mounts) {
    if (!shows(mount, hierarchy)) continue;
    if (found == nullptr || (found->root != "/" && mount.root == "/")) found = &mount;
  }
  return found;
}

std::vector<std::string> words_of(std::string_view text, char separator) {
  std::vector<std::string> words = split(trim(text), separator);
  std::erase(words, "");
  return words;
}

}  // namespace

CgroupMode CgroupLayout::mode() const {
  if (hierarchies.empty()) return CgroupMode::none;
  const auto v2_count =
      std::ranges::count_if(hierarchies, [](const CgroupHierarchy& h) { return h.v2(); });
  if (v2_count == 0) return CgroupMode::v1;
  return hierarchies.size() == 1 ? CgroupMode::v2 : CgroupMode::hybrid;
}

const CgroupHierarchy* CgroupLayout::with(std::string_view controller) const {
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    if (controller.empty() && hierarchy.v2()) return &hierarchy;
    const auto& names = hierarchy.controllers;
    if (std::ranges::find(names, controller) != names.end()) return &hierarchy;
  }
  return nullptr;
}

CgroupLayout parse_cgroups(std::string_view mountinfo, std::string_view proc_cgroup,
                           std::string_view v2_controllers) {
  const std::vector<MountInfo> mounts = cgroup_mounts(mountinfo);
  CgroupLayout layout;
  for (std::string_view text : lines_of(proc_cgroup)) {
    const std::optional<ProcLine> line = parse_proc_line(text);
    if (!line) continue;
    const MountInfo* mount = mount_of(mounts, *line);
    if (mount == nullptr) continue;
    layout.hierarchies.push_back(
        {line->id, line->id == 0 ? words_of(v2_controllers, ' ') : words_of(line->controllers, ','),
         mount->mount_point});
  }
  return layout;
}

Result<CgroupLayout> detect_cgroups() {
  NX_TRY(const std::string mountinfo, read_file(AT_FDCWD, "/proc/self/mountinfo"), "find cgroups");
  NX_TRY(const std::string own, read_file(AT_FDCWD, "/proc/self/cgroup"), "find cgroups");
  CgroupLayout layout = parse_cgroups(mountinfo, own, "");
  for (CgroupHierarchy& hierarchy : layout.hierarchies) {
    if (!hierarchy.v2()) continue;
    NX_TRY(const std::string controllers,
           read_file(AT_FDCWD, hierarchy.mount_point + "/cgroup.controllers"), "find cgroups");
    hierarchy.controllers = words_of(controllers, ' ');
  }
  return layout;
}

Result<std::vector<std::pair<int, std::string>>> read_process_cgroups(pid_t pid) {
  const std::string file = "/proc/" + std::to_string(pid) + "/cgroup";
  NX_TRY(const std::string text, read_file(AT_FDCWD, file), "read the cgroups of a process");
  std::vector<std::pair<int, std::string>> paths;
  for (std::string_view text_line : lines_of(text)) {
    std::optional<ProcLine> line = parse_proc_line(text_line);
    if (!line) return fail(Errc::FileError, "unexpected line of " + file + ": " + quote(text_line));
    paths.emplace_back(line->id, std::move(line->path));
  }
  return paths;
}

}  // namespace nexcage::sys
