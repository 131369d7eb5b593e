// One container's cgroup: its directories, files and processes.
#include "nexcage/sys/cgroup.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "nexcage/base/text.h"
#include "nexcage/sys/cgroup_parts.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/fs_resolve.h"
#include "nexcage/sys/fs_tree.h"
#include "nexcage/sys/process.h"

namespace nexcage::sys {
namespace {

/// So many pidfds are open at once while processes are signalled.
constexpr std::size_t kBatch = 128;

bool is_directory(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// "/nexcage//web1/" -> "nexcage/web1".
std::string relative(const std::string& path) {
  std::string clean = clean_path("/" + path);
  return clean.substr(1);
}

/// The processes of one directory are added to `pids`.
Result<> read_procs(int directory, std::vector<pid_t>& pids) {
  auto text = read_file(directory, "cgroup.procs");
  if (!text) {
    const int error = text.error().sys_errno();
    // Removed meanwhile; or a threaded cgroup, whose processes its domain lists.
    if (error == ENOENT || error == ENODEV || error == EOPNOTSUPP) return {};
    return fail(std::move(text).error());
  }
  for (const std::string& line : split(*text, '\n'))
    // 0 stands for a process that our pid namespace cannot see.
    if (const auto pid = parse_i64(line); pid && *pid > 0) pids.push_back(static_cast<pid_t>(*pid));
  return {};
}

struct Target {
  pid_t pid;
  UniqueFd pidfd;
};

Result<std::vector<Target>> open_all(std::span<const pid_t> pids) {
  std::vector<Target> targets;
  for (const pid_t pid : pids) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (fd) targets.push_back({pid, std::move(fd)});
    // EINVAL, ENOENT: the number is a thread's by now.
    else if (errno != ESRCH && errno != EINVAL && errno != ENOENT)
      return fail_errno("open process " + std::to_string(pid));
  }
  return targets;
}

}  // namespace

Result<> walk_cgroup(const std::string& dir, const TreeWalk& walk) {
  const auto [parent, name] = split_last(dir);
  auto fd = open_at(AT_FDCWD, parent, O_PATH | O_DIRECTORY);
  if (!fd && fd.error().sys_errno() == ENOENT) return {};
  if (!fd) return fail(std::move(fd).error());
  return walk_tree(fd->get(), name, walk);
}

Result<> check_own(const Cgroup& cgroup) {
  // The root cgroup is every process of the host.
  if (cgroup.path().empty())
    return fail(Errc::InvalidState, "the root cgroup belongs to no container");
  return {};
}

Result<std::size_t> signal_once(const Cgroup& cgroup, int signal) {
  NX_TRY(const std::vector<pid_t> pids, cgroup.processes());
  std::size_t reached = 0;
  for (std::size_t at = 0; at < pids.size(); at += kBatch) {
    const auto batch = std::span(pids).subspan(at, std::min(kBatch, pids.size() - at));
    NX_TRY(const std::vector<Target> targets, open_all(batch));
    // A number that was free between reading the list and opening it may be somebody else's now:
    // only who is still listed is ours.
    NX_TRY(const std::vector<pid_t> still, cgroup.processes());
    for (const Target& target : targets) {
      if (target.pid == ::getpid()) continue;
      if (!std::ranges::binary_search(still, target.pid)) continue;
      NX_TRY(const auto stat, read_stat(target.pid));
      if (!stat || stat->ended()) continue;
      NX_TRY(const bool sent, send_signal(target.pidfd.get(), signal),
             "process " + std::to_string(target.pid));
      if (sent) ++reached;
    }
  }
  return reached;
}

Cgroup::Cgroup(const CgroupLayout& layout, const std::string& path)
    : layout_(layout), path_(relative(path)) {}

std::string Cgroup::dir(std::string_view controller) const {
  const CgroupHierarchy* hierarchy = layout_.with(controller);
  return hierarchy == nullptr ? "" : hierarchy->mount_point + "/" + path_;
}

std::vector<std::string> Cgroup::existing_dirs() const {
  std::vector<std::string> dirs;
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies) {
    std::string dir = hierarchy.mount_point + "/" + path_;
    if (is_directory(dir)) dirs.push_back(std::move(dir));
  }
  return dirs;
}

Result<> Cgroup::add_process(pid_t pid) const {
  NX_CHECK(check_own(*this));
  const std::vector<std::string> dirs = existing_dirs();
  if (dirs.empty()) return fail(Errc::InvalidState, "cgroup " + path_ + " does not exist");
  for (const std::string& dir : dirs)
    NX_CHECK(write_cgroup_file(dir, "cgroup.procs", std::to_string(pid)),
             "add process " + std::to_string(pid) + " to cgroup " + path_);
  return {};
}

Result<std::vector<pid_t>> Cgroup::processes() const {
  NX_CHECK(check_own(*this));
  std::vector<pid_t> pids;
  const TreeWalk walk{TreeWalk::Removal::nothing,
                      [&pids](int directory) { return read_procs(directory, pids); }};
  for (const std::string& dir : existing_dirs())
    NX_CHECK(walk_cgroup(dir, walk), "list the processes of cgroup " + path_);
  std::ranges::sort(pids);
  const auto twice = std::ranges::unique(pids);
  pids.erase(twice.begin(), twice.end());
  return pids;
}

Result<> write_cgroup_file(const std::string& dir, const std::string& file,
                           std::string_view value) {
  NX_TRY(const UniqueFd fd, open_at(AT_FDCWD, dir + "/" + file, O_WRONLY));
  ssize_t n = -1;
  // The kernel takes each write(2) as one whole value.
  do n = ::write(fd.get(), value.data(), value.size());
  while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno("write " + quote(value) + " to " + dir + "/" + file);
  return {};
}

Result<> Cgroup::write(std::string_view controller, const std::string& file,
                       std::string_view value) const {
  const std::string where = dir(controller);
  if (where.empty())
    return fail(Errc::Unsupported, "this host has no cgroup controller " + quote(controller));
  return write_cgroup_file(where, file, value);
}

Result<std::string> Cgroup::read(std::string_view controller, const std::string& file) const {
  const std::string where = dir(controller);
  if (where.empty())
    return fail(Errc::Unsupported, "this host has no cgroup controller " + quote(controller));
  NX_TRY(std::string text, read_file(AT_FDCWD, where + "/" + file));
  return std::string(trim(text));
}

}  // namespace nexcage::sys
