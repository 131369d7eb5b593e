// What `ps ID` shows of a process, read from /proc.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace nexcage::cli {

struct ProcessRow {
  uid_t uid = 0;
  pid_t pid = 0;
  pid_t parent = 0;
  std::string tty;      // "pts/3", "?"
  std::string time;     // processor time used, HH:MM:SS
  std::string command;  // arguments, or [name] of a process without any
};

/// nullopt when the process is gone.
std::optional<ProcessRow> read_process_row(pid_t pid);

/// Pure part: /proc/PID/stat (proc(5)) into parent, tty and time. `ticks` per second.
std::optional<ProcessRow> parse_stat_row(std::string_view stat, long ticks);

}  // namespace nexcage::cli
