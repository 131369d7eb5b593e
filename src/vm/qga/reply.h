// Answers of the QEMU guest agent, each a line with its end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/vm/qga/request.h"

namespace nexcage::vm::qga {

/// Of a process's output in guest-exec-status, each stream; the rest is thrown away, as qemu-ga
/// does (GUEST_EXEC_MAX_OUTPUT of qga/commands.c).
inline constexpr std::size_t kMaxOutput = 16u << 20;

/// What is known of a process that guest-exec has started.
struct ProcessStatus {
  bool exited = false;
  std::uint32_t code = 0;    // when signal is 0
  std::uint32_t signal = 0;  // that ended it
  std::string out, err;
  bool out_truncated = false, err_truncated = false;
};

using Id = std::optional<json::Value>;

std::string reply(const Id& id, json::Value result);
/// Unsupported is CommandNotFound there, all else a GenericError with the message.
std::string reply_error(const Id& id, const Error& error);
std::string reply_sync(const Id& id, const Sync& sync);

json::Value info_result();
/// Output only of a process that has ended.
json::Value status_result(const ProcessStatus& status);

}  // namespace nexcage::vm::qga
