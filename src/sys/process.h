// Processes by pidfd.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::sys {

/// A process named so that a reused pid is not mistaken for it: pid and start time (field 22 of
/// /proc/PID/stat, clock ticks since boot).
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  bool operator==(const ProcessId&) const = default;
};

struct ProcessStat {
  char state = 0;  // R S D T Z X ...
  pid_t parent = 0;
  int threads = 0;
  std::uint64_t start_time = 0;
  /// Nothing of it runs any more. A zombie with threads is a process whose first thread has ended.
  bool ended() const { return state == 'X' || state == 'x' || (state == 'Z' && threads <= 1); }
};
/// nullopt when there is no such process.
Result<std::optional<ProcessStat>> read_stat(pid_t pid);
/// Alive: exists with this start time and is neither zombie nor dead.
Result<bool> is_alive(const ProcessId& id);
/// pidfd of exactly this process; nullopt when it is gone or only waits to be reaped.
Result<std::optional<UniqueFd>> open_process(const ProcessId& id);
/// pidfd_send_signal; ESRCH is success ("already gone") and returns false.
Result<bool> send_signal(int pidfd, int signal);
/// poll(2) on a pidfd until it has ended: true, or false after the time. Negative: no limit.
Result<bool> wait_exit(int pidfd, std::chrono::milliseconds timeout);

/// Who a child is that has no privilege at all.
struct Unprivileged {
  uid_t user = 0;  // may be 0: root without any capability, who still owns files
  gid_t group = 0;
  std::vector<gid_t> groups{};  // further ones
};

/// What a child is to be. Everything is prepared before clone; after it only async-signal-safe
/// calls run.
struct Command {
  std::string program;  // path to execute; empty: argv[0]
  std::vector<std::string> argv;
  std::vector<std::string> env;  // the whole environment
  bool inherit_env = false;      // append ours
  int exec_fd = -1;              // fexecve this (sealed memfd) instead of argv[0]
  std::string cwd;
  /// Child descriptor number <- ours. Only 0, 1, 2 (inherited as they are unless listed) and these
  /// reach the child; all else is closed by O_CLOEXEC and close_range.
  std::vector<std::pair<int, int>> fds;  // {ours, theirs}
  int keep_from = -1, keep_count = 0;    // further inherited range (--preserve-fds): 3 .. 3+N-1
  bool keep_all = false;                 // every descriptor without O_CLOEXEC stays, as for execve
  /// Directory of a version 2 cgroup in which the child is born (clone3(2), CLONE_INTO_CGROUP):
  /// nothing has to be moved. -1, and where the kernel knows no such thing: the caller's.
  int cgroup = -1;
  /// The child becomes this user, with no capability in any set and no way to gain one
  /// (no_new_privs). nullopt: it is who we are.
  std::optional<Unprivileged> unprivileged{};
  bool new_session = false;
  bool new_process_group = false;
  bool die_with_parent = false;
  bool reset_signals = true;
};

/// A running child. Killed (SIGKILL) and reaped when it goes, unless released.
class Child {
 public:
  /// RuntimeNotAvailable when the program does not exist, FileError otherwise.
  static Result<Child> spawn(const Command& command);
  /// Takes over a child of ours that was not made by spawn (clone with CLONE_PARENT by another
  /// child).
  static Result<Child> adopt(pid_t pid);
  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  /// Born in Command::cgroup.
  bool in_cgroup() const { return in_cgroup_; }
  /// The raw wait status (waitpid). Blocks. Asked again it gives the same answer.
  Result<int> wait();
  /// nullopt after the time.
  Result<std::optional<int>> wait_for(std::chrono::milliseconds timeout);
  /// Kills the process (and its group if it leads one) and reaps it.
  void kill_and_wait();
  /// Nobody reaps it any more; the caller knows what it does.
  [[nodiscard]] pid_t release();

 private:
  Child(pid_t pid, UniqueFd pidfd, bool group);
  pid_t pid_ = 0;
  UniqueFd pidfd_;
  bool group_ = false;
  bool in_cgroup_ = false;
  std::optional<int> status_;  // set once reaped: from then on the pid may be somebody else's
};

/// The path of a program: the name itself if it has a slash, else the first match on PATH, whose
/// relative entries do not count. RuntimeNotAvailable when there is none.
Result<std::string> find_program(const std::string& name);
/// The same, and then in /usr/sbin and /sbin: a PATH without the directories of the system's
/// programs, as `su` gives on Debian, has no mke2fs.
Result<std::string> find_system_program(const std::string& name);

/// Makes this very process the program: argv, program, env, inherit_env, exec_fd and cwd count;
/// descriptors without O_CLOEXEC, signal mask and dispositions stay. Returns only errors, those of
/// spawn.
Result<> become(const Command& command);

/// What a short program left.
struct Output {
  int status = 0;  // raw wait status
  std::string out, err;
  bool truncated = false;  // one of them was longer than allowed; the rest was thrown away
};
/// Runs a program in a process group of its own with `stdin_text` as its (seekable) input, and
/// collects its output until it ends; what its own background children write later is not waited
/// for. After `timeout` the whole group is killed: Timeout. Else the errors of spawn.
Result<Output> run(const Command& command, std::string_view stdin_text,
                   std::chrono::milliseconds timeout, std::size_t max_output = 1u << 20);

/// Shell convention: exit status, or 128 + signal.
int exit_code(int wait_status);
/// "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3" -> number. InvalidSpec otherwise.
Result<int> parse_signal(std::string_view text);
/// 15 -> "SIGTERM".
std::string signal_name(int signal);

/// Adopt orphans of our descendants: prctl(PR_SET_CHILD_SUBREAPER).
Result<> become_subreaper();

/// A copy of the file in a sealed memfd, executable by fexecve: what a container can reach through
/// /proc/PID/exe is never a file of the host (CVE-2019-5736).
Result<UniqueFd> sealed_copy(int fd, std::string_view name);
/// A memfd with this content, sealed against change, rewound.
Result<UniqueFd> sealed_data(std::string_view data, std::string_view name);
/// An empty file in memory, to be written by whoever opens it through /proc.
Result<UniqueFd> memory_file(std::string_view name);
/// A copy of the descriptor that survives exec, with the lowest free number from `least` on.
Result<UniqueFd> inheritable_above(int fd, int least);

/// Directory that holds this process's executable (readlink /proc/self/exe).
Result<std::string> executable_dir();

}  // namespace nexcage::sys
