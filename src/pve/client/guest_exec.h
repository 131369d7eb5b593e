// A process in a virtual machine, by the guest agent API.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/pve/client/connection.h"

namespace nexcage::pve::client {

struct Executed {
  int code = 0;  // exit code; 128 + N after signal N
  std::string out, err;
  bool is_truncated = false;
};

/// Starts what `job` says ({"path": of the agent's part of the API, "command": [...], "input"}) and
/// waits for its end, however long that takes. ProxmoxError: no agent answers, or the machine has
/// ended meanwhile.
Result<Executed> execute_in_guest(Connection& connection, const json::Value& job);

/// `data` of agent/exec-status; nullopt-like: `exited` is false while it runs.
struct ExecState {
  bool exited = false;
  Executed result;
};
ExecState parse_exec_status(const json::Value& data);

}  // namespace nexcage::pve::client
