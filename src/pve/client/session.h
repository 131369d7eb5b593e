// What the helper does for the front: one command after the other, each a line of JSON
// (docs/proxmox-helper.md).
#pragma once

#include <functional>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/pve/client/connection.h"

namespace nexcage::pve::client {

class Session {
 public:
  /// `tell` gets the lines of tasks' logs: {"task": UPID, "line": TEXT}.
  Session(Connection& connection, std::function<void(const json::Value&)> tell)
      : connection_(connection), tell_(std::move(tell)) {}
  /// {"op": "call", "method", "path", "params": {NAME: TEXT or [TEXT...]}} -> data
  /// {"op": "wait", "upid", "seconds"} -> {"warnings": [TEXT...]}
  /// {"op": "upload", "path", "file", "name", "content", "sha256"} -> data
  /// {"op": "host"} -> the host that answered last
  /// InvalidJson for anything else.
  Result<json::Value> run(const json::Value& command);

 private:
  Result<json::Value> call(const json::Value& command);
  Result<json::Value> wait(const json::Value& command);
  Result<json::Value> upload(const json::Value& command);
  Connection& connection_;
  std::function<void(const json::Value&)> tell_;
};

}  // namespace nexcage::pve::client
