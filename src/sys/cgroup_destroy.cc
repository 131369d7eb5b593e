// Killing and removing cgroups.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/cgroup_parts.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/fs_resolve.h"
#include "nexcage/sys/poll_until.h"

namespace nexcage::sys {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kKillTime{10'000};

/// cgroup.kill (Linux 5.14) reaches what forks meanwhile, too.
Result<> write_kill_file(const Cgroup& cgroup) {
  const std::string dir = cgroup.dir("");
  if (dir.empty()) return {};
  auto written = write_cgroup_file(dir, "cgroup.kill", "1");
  if (!written && written.error().sys_errno() != ENOENT &&
      written.error().sys_errno() != EOPNOTSUPP)
    return fail(std::move(written).error());
  return {};
}

/// A process that a version 1 freezer holds does not even die.
void let_die(const Cgroup& cgroup) {
  const std::string dir = cgroup.dir("freezer");
  if (!dir.empty()) (void)write_cgroup_file(dir, "freezer.state", "THAWED");
}

/// True when nothing is left to kill, false after the deadline.
Result<bool> kill_all(const Cgroup& cgroup, SteadyTime deadline) {
  NX_CHECK(write_kill_file(cgroup));
  for (milliseconds pause(1);; pause = std::min(pause * 2, milliseconds(20))) {
    NX_TRY(const std::size_t left, signal_once(cgroup, SIGKILL));
    if (left == 0) return true;
    let_die(cgroup);
    if (std::chrono::steady_clock::now() >= deadline) return false;
    sleep_for(pause);
  }
}

/// True when it is gone with all below, false when something in it is busy yet.
Result<bool> remove_dir(const std::string& dir) {
  if (::rmdir(dir.c_str()) == 0 || errno == ENOENT) return true;
  auto removed = walk_cgroup(dir, {TreeWalk::Removal::directories, {}});
  if (removed) return true;
  const int error = removed.error().sys_errno();
  if (error == EBUSY || error == ENOTEMPTY) return false;
  return fail(std::move(removed).error());
}

Result<bool> remove_dirs(const CgroupLayout& layout, const std::string& path) {
  bool all = true;
  for (const CgroupHierarchy& hierarchy : layout.hierarchies) {
    NX_TRY(const bool gone, remove_dir(hierarchy.mount_point + "/" + path));
    all = all && gone;
  }
  return all;
}

/// rmdir(2) refuses what is in use, so trying is enough.
void remove_parents(const CgroupLayout& layout, const std::string& path) {
  const auto [parent, name] = split_last(path);
  if (parent.empty()) return;
  for (const CgroupHierarchy& hierarchy : layout.hierarchies)
    (void)::rmdir((hierarchy.mount_point + "/" + parent).c_str());
}

std::string name_some(const std::vector<pid_t>& pids) {
  std::string out;
  for (std::size_t i = 0; i < std::min<std::size_t>(pids.size(), 5); ++i)
    out += " " + std::to_string(pids[i]);
  return out;
}

Error busy_error(const Cgroup& cgroup) {
  Error error(Errc::Timeout, "cgroup " + cgroup.path() + " stays busy");
  auto pids = cgroup.processes();
  if (!pids || pids->empty()) return error;
  return std::move(error).hint("processes that do not die:" + name_some(*pids));
}

}  // namespace

Result<> Cgroup::signal_all(int signal) const {
  NX_CHECK(check_own(*this));
  if (signal != SIGKILL) {
    NX_CHECK(signal_once(*this, signal), "signal cgroup " + path_);
    return {};
  }
  NX_TRY(const bool dead, kill_all(*this, std::chrono::steady_clock::now() + kKillTime),
         "kill cgroup " + path_);
  if (!dead) return fail(busy_error(*this).wrap("kill cgroup " + path_));
  return {};
}

Result<> Cgroup::destroy(milliseconds timeout, bool prune_parent) const {
  NX_CHECK(check_own(*this));
  const SteadyTime deadline = std::chrono::steady_clock::now() + timeout;
  for (milliseconds pause(1);; pause = std::min(pause * 2, milliseconds(20))) {
    // Nothing that lives in there lets it be removed, so what can be is not looked at first.
    NX_TRY(bool gone, remove_dirs(layout_, path_), "remove cgroup " + path_);
    if (gone) break;
    NX_TRY(const bool dead, kill_all(*this, deadline), "remove cgroup " + path_);
    if (!dead || std::chrono::steady_clock::now() >= deadline)
      return fail(busy_error(*this).wrap("remove cgroup " + path_));
    sleep_for(pause);
  }
  if (prune_parent) remove_parents(layout_, path_);
  return {};
}

}  // namespace nexcage::sys
