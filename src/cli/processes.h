// What `ps ID` shows of a process, read from /proc: the columns of `ps -ef`, which runc shows.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::cli {

struct ProcessRow {
  uid_t uid = 0;
  pid_t pid = 0;
  pid_t parent = 0;
  int percent = 0;      // of one processor since its start
  std::string started;  // "14:05", on another day "Nov21", in another year "2025"
  std::string tty;      // "pts/3", "?"
  std::string time;     // processor time used, HH:MM:SS
  std::string command;  // arguments, or [name] of a process without any
};

/// What turns the kernel's ticks into times; read once for a table.
struct ProcessClock {
  long ticks = 100;         // per second
  std::int64_t booted = 0;  // seconds since the epoch
  std::int64_t now = 0;
};
ProcessClock read_process_clock();

/// nullopt when the process is gone.
std::optional<ProcessRow> read_process_row(pid_t pid, const ProcessClock& clock);

/// Pure part: /proc/PID/stat (proc(5)) into all but uid, pid and arguments.
std::optional<ProcessRow> parse_stat_row(std::string_view stat, const ProcessClock& clock);

/// The heading and the lines of ps(1) whose pid is one of these. InvalidSpec for output without a
/// column PID.
Result<std::string> filter_ps(std::string_view output, const std::vector<pid_t>& pids);

}  // namespace nexcage::cli
