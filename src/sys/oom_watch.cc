// The kernel's word that a cgroup has no memory left.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "nexcage/sys/cgroup_parts.h"
#include "nexcage/sys/cgroup_stats.h"
#include "nexcage/sys/fs.h"

namespace nexcage::sys {

Result<OomWatch> OomWatch::open(const CgroupLayout& dirs) {
  const CgroupHierarchy* memory = dirs.with("memory");
  if (memory == nullptr)
    return fail(Errc::Unsupported, "out of memory events: this host has no memory controller");
  OomWatch watch;
  const std::string& dir = memory->mount_point;
  watch.v2_ = memory->v2();
  watch.file_ = dir + (watch.v2_ ? "/memory.events" : "/cgroup.event_control");
  if (watch.v2_) {
    watch.events_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch.events_) return fail_errno("make an inotify descriptor");
    if (::inotify_add_watch(watch.events_.get(), watch.file_.c_str(), IN_MODIFY) < 0)
      return fail_errno("watch " + watch.file_);
    NX_TRY(watch.seen_, watch.kills());
    return watch;
  }
  watch.events_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watch.events_) return fail_errno("make an event descriptor");
  NX_TRY(watch.control_, open_at(AT_FDCWD, dir + "/memory.oom_control", O_RDONLY));
  const std::string wish =
      std::to_string(watch.events_.get()) + " " + std::to_string(watch.control_.get());
  NX_CHECK(write_cgroup_file(dir, "cgroup.event_control", wish));
  return watch;
}

Result<std::uint64_t> OomWatch::kills() const {
  NX_TRY(const std::string text, read_file(AT_FDCWD, file_));
  const auto table = parse_flat_keyed(text);
  const auto found = table.find("oom_kill");
  return found == table.end() ? 0 : found->second;
}

Result<std::uint64_t> OomWatch::take() {
  if (v2_) {
    std::array<char, 4096> buffer{};
    while (::read(events_.get(), buffer.data(), buffer.size()) > 0) {
    }
    const auto now = kills();
    if (!now) return 0;  // the cgroup is gone
    const std::uint64_t more = *now - seen_;
    seen_ = *now;
    return more;
  }
  std::uint64_t count = 0;
  if (::read(events_.get(), &count, sizeof count) != sizeof count) return 0;
  // The removal of the cgroup is told the same way.
  return ::access(file_.c_str(), F_OK) == 0 ? count : 0;
}

}  // namespace nexcage::sys
