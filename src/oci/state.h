// The OCI runtime's view of a container (runtime-spec, runtime.md "State").
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::oci {

enum class Status : std::uint8_t { creating, created, running, paused, stopped };
std::string_view status_name(Status status);
Result<Status> parse_status(std::string_view text);

struct State {
  std::string oci_version;
  std::string id;
  Status status = Status::creating;
  int pid = 0;  // 0: no process
  std::string bundle;
  std::map<std::string, std::string> annotations;
};

/// The JSON that `state` prints and hooks read on stdin. `pid` is always written, 0 when there is
/// no process, as runc does.
json::Value to_json(const State& state);
Result<State> parse_state(const json::Value& value);

/// A container id that may become a directory name: 1 to 255 of [A-Za-z0-9_+.-], not "." or "..".
/// InvalidSpec otherwise. The grammar is runc's, which engines rely on.
Result<> check_container_id(std::string_view id);

}  // namespace nexcage::oci
