// Control groups, version 1, version 2 and both at once (hybrid).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::sys {

struct CgroupHierarchy {
  int id = 0;  // as in /proc/PID/cgroup; 0 is version 2
  std::vector<std::string>
      controllers;          // v1: {"cpu","cpuacct"} or {"name=systemd"}; v2: available ones
  std::string mount_point;  // "/sys/fs/cgroup/memory"
  bool v2() const { return id == 0; }
};

enum class CgroupMode : std::uint8_t { none, v1, hybrid, v2 };

/// The cgroup hierarchies of this host, read once from /proc/self/mountinfo and /proc/self/cgroup.
struct CgroupLayout {
  std::vector<CgroupHierarchy> hierarchies;
  CgroupMode mode() const;
  /// The hierarchy that has this controller ("memory"), nullptr if none. In hybrid mode a
  /// controller is wherever the kernel has it. "" is version 2 itself.
  const CgroupHierarchy* with(std::string_view controller) const;
};
Result<CgroupLayout> detect_cgroups();
/// Pure part, for tests.
CgroupLayout parse_cgroups(std::string_view mountinfo, std::string_view proc_cgroup,
                           std::string_view v2_controllers);

/// Paths of a process in each hierarchy, parsed from /proc/PID/cgroup: {hierarchy id, path}.
Result<std::vector<std::pair<int, std::string>>> read_process_cgroups(pid_t pid);

/// One container's cgroup: the same relative path ("nexcage/web1", no leading slash) in every
/// hierarchy. Does not own: removal is an explicit act, recorded in the undo log. `layout` must
/// outlive it. The empty path, the host's root cgroup, is refused (InvalidState) by all that acts.
class Cgroup {
 public:
  Cgroup(const CgroupLayout& layout, const std::string& path);
  const std::string& path() const { return path_; }
  /// "/sys/fs/cgroup/memory/nexcage/web1"; empty when no hierarchy has the controller.
  std::string dir(std::string_view controller) const;
  /// Directories in all hierarchies that exist now.
  std::vector<std::string> existing_dirs() const;
  /// Makes it in every hierarchy, with what lies above. A cpuset begins with the processors and
  /// memory of its parent; in version 2 the parents make all their controllers available. One that
  /// is there stays as it is.
  Result<> create() const;
  /// The part of create() that is version 2, opened for Command::cgroup; no descriptor on a host
  /// without version 2.
  Result<UniqueFd> create_v2() const;
  /// The files to which a process with a single thread writes "0" to get into all hierarchies of
  /// version 1: unlike add_process() this does not wait until no thread of the whole host is at a
  /// fork or an exit (cgroup_threadgroup_rwsem, an RCU grace period).
  std::vector<std::string> v1_thread_files() const;
  Result<> add_process(pid_t pid) const;
  /// Every process in it and below, sorted; each once.
  Result<std::vector<pid_t>> processes() const;
  /// Writes one file of the controller's directory. Missing controller: Unsupported.
  Result<> write(std::string_view controller, const std::string& file,
                 std::string_view value) const;
  /// The file's content without white space at its ends.
  Result<std::string> read(std::string_view controller, const std::string& file) const;
  /// cgroup.freeze (v2) or freezer.state (v1); waits until it holds. Unsupported without either.
  Result<> freeze() const;
  Result<> thaw() const;
  Result<bool> frozen() const;
  /// Sends `signal` to every process; SIGKILL uses cgroup.kill where the kernel has it, else it
  /// repeats until none is left (Timeout after 10 s).
  Result<> signal_all(int signal) const;
  /// Kills, drains and removes it and what lies below, in all hierarchies. Gone afterwards; missing
  /// is success. `prune_parent` also removes the parent directory if it is empty then.
  Result<> destroy(std::chrono::milliseconds timeout, bool prune_parent = true) const;

 private:
  const CgroupLayout& layout_;
  std::string path_;
};

}  // namespace nexcage::sys
