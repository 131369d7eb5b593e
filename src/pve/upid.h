// The name of a task: UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER:
#pragma once

#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::pve {

struct Upid {
  std::string text;  // whole, as it came
  std::string node, type, id, user;
  /// ProxmoxError for what is none. USER may hold "!TOKEN".
  static Result<Upid> parse(std::string_view text);
};

/// How a task has ended, from its `exitstatus`.
struct TaskEnd {
  bool ok = false;
  unsigned warnings = 0;  // of a task that succeeded: "WARNINGS: n"
  std::string text{};     // as it came
};
TaskEnd parse_task_end(std::string_view exit_status);

}  // namespace nexcage::pve
