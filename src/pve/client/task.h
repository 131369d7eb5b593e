// Tasks of the cluster, followed to their end.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/pve/client/connection.h"
#include "nexcage/pve/upid.h"

namespace nexcage::pve::client {

/// Told of each line of the task's log as it comes.
using OnLine = std::function<void(const std::string& line)>;

struct FollowedTask {
  TaskEnd end;
  std::vector<std::string> warnings;  // the log's lines about them
};

/// Waits for the task's end. ProxmoxError with the task's own last words when it failed; Timeout
/// when it still runs after `limit`. A node that cannot be reached in between is waited for, as
/// long as a minute.
Result<FollowedTask> follow_task(Connection& connection, const Upid& upid,
                                 std::chrono::seconds limit, const OnLine& tell);

}  // namespace nexcage::pve::client
