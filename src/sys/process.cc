#include "nexcage/sys/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/poll_until.h"
#include "nexcage/sys/read_once.h"

namespace nexcage::sys {
namespace {

/// Fields 3 (state), 4 (ppid), 20 (num_threads) and 22 (starttime) of proc_pid_stat(5). The name,
/// field 2, may hold anything, ") R 1" too: the last ')' ends it.
std::optional<ProcessStat> parse_stat(std::string_view text) {
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  const std::vector<std::string> fields = split(trim(text.substr(name_end + 1)), ' ');
  constexpr std::size_t kState = 0, kParent = 1, kThreads = 17, kStart = 19;
  if (fields.size() <= kStart || fields[kState].size() != 1) return std::nullopt;
  const auto parent = parse_i64(fields[kParent]);
  const auto threads = parse_i64(fields[kThreads]);
  const auto start = parse_u64(fields[kStart]);
  if (!parent || !threads || !start) return std::nullopt;
  return ProcessStat{fields[kState][0], static_cast<pid_t>(*parent), static_cast<int>(*threads),
                     *start};
}

bool is_gone(const Error& error) {
  // ESRCH: it ended between open(2) and read(2).
  return error.sys_errno() == ENOENT || error.sys_errno() == ESRCH;
}

}  // namespace

Result<bool> poll_until(std::span<pollfd> fds, std::optional<SteadyTime> deadline) {
  for (;;) {
    int timeout = -1;
    if (deadline) {
      // Rounded up, or the last fraction of a millisecond would be spent in a busy loop.
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(
          *deadline - std::chrono::steady_clock::now());
      timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX));
    }
    const int n = ::poll(fds.data(), fds.size(), timeout);
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return fail_errno("poll");
    if (n == 0 && deadline && std::chrono::steady_clock::now() >= *deadline) return false;
  }
}

std::optional<SteadyTime> deadline_after(std::chrono::milliseconds timeout) {
  // Longer than a year is as good as no limit, and cannot overflow the clock.
  if (timeout.count() < 0 || timeout > std::chrono::hours(24 * 365)) return std::nullopt;
  return std::chrono::steady_clock::now() + timeout;
}

void sleep_for(std::chrono::milliseconds time) {
  const auto ms = time.count();
  const timespec wanted{ms / 1000, (ms % 1000) * 1'000'000};
  (void)::nanosleep(&wanted, nullptr);
}

Result<std::optional<ProcessStat>> read_stat(pid_t pid) {
  if (pid <= 0) return std::nullopt;
  auto text = read_once("/proc/" + std::to_string(pid) + "/stat");
  if (!text && is_gone(text.error())) return std::nullopt;
  if (!text) return fail(std::move(text).error());
  const std::optional<ProcessStat> stat = parse_stat(*text);
  if (!stat) return fail(Errc::FileError, "unexpected content of /proc/PID/stat: " + quote(*text));
  return stat;
}

Result<bool> is_alive(const ProcessId& id) {
  NX_TRY(const std::optional<ProcessStat> stat, read_stat(id.pid));
  return stat && stat->start_time == id.start_time && !stat->ended();
}

Result<std::optional<UniqueFd>> open_process(const ProcessId& id) {
  if (id.pid <= 0) return std::nullopt;
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0)));
  if (!fd && errno == ESRCH) return std::nullopt;
  if (!fd) return fail_errno("open process " + std::to_string(id.pid));
  // In this order: if the wanted process has the pid now, it had it when the pidfd was made.
  NX_TRY(const bool alive, is_alive(id));
  if (!alive) return std::nullopt;
  return std::optional<UniqueFd>(std::move(fd));
}

Result<bool> send_signal(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  return fail_errno("send signal " + signal_name(signal));
}

Result<bool> wait_exit(int pidfd, std::chrono::milliseconds timeout) {
  pollfd waiting{pidfd, POLLIN, 0};
  return poll_until(std::span(&waiting, 1), deadline_after(timeout));
}

int exit_code(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

Result<> become_subreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return fail_errno("become a subreaper");
  return {};
}

Result<std::string> executable_dir() {
  NX_TRY(const std::string path, read_link(AT_FDCWD, "/proc/self/exe"),
         "find the directory of this program");
  return path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
}

}  // namespace nexcage::sys
