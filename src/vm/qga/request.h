// Commands of the QEMU guest agent, as far as they are served here (QEMU, qga/qapi-schema.json).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::vm::qga {

/// guest-sync, and guest-sync-delimited, whose answer begins with 0xFF.
struct Sync {
  std::int64_t id = 0;
  bool delimited = false;
};
struct Ping {};
struct Info {};
struct OsInfo {};
struct NetworkInterfaces {};

/// What guest-exec-status is to have of a process's output.
enum class Capture : std::uint8_t { none, out, err, separated, merged };

struct ExecCommand {
  std::vector<std::string> args;  // the path first
  std::vector<std::string> env;   // "NAME=value", in addition
  std::string input;
  Capture capture = Capture::none;
};
struct ExecStatus {
  std::uint32_t pid = 0;
};
/// guest-shutdown with mode "powerdown". It has no answer.
struct Shutdown {};

using Command =
    std::variant<Sync, Ping, Info, OsInfo, NetworkInterfaces, ExecCommand, ExecStatus, Shutdown>;

/// A line of the host's. `command` is an error for what is no command: Unsupported for one that is
/// not served, InvalidJson for a text that is none, InvalidConfig for arguments.
struct Request {
  std::optional<json::Value> id;  // is repeated in the answer
  Result<Command> command;
};

Request parse_request(std::string_view line);

/// Names of all commands that parse_request() knows.
std::vector<std::string_view> command_names();

}  // namespace nexcage::vm::qga
