// How the verbs of nexcage speak with a machine's helper: one JSON object a message, over a
// SOCK_SEQPACKET socket in the container's state directory. A request has a member "verb"; an
// answer with a member "error" is an Error.
//
//   start, pause, resume           {}
//   kill       signal, all         {}
//   status                         {"status", "accelerator"}
//   exec       terminal; descriptors: the message, then a terminal or the three streams
//                                  {"pid"}, later {"exit"}; meanwhile the client may send
//              signal | rows, columns
#pragma once

#include <chrono>
#include <span>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/vm/protocol/message.h"

namespace nexcage::vm::host {

/// Most bytes of one message.
inline constexpr std::size_t kMaxControlMessage = 128u << 10;

/// An error for another process, whole but for its hint.
sys::plan::Failure failure_of(const Error& error);
json::Object error_answer(const Error& error);
/// The error that an answer describes; success for any other.
Result<> check_answer(const json::Value& answer);

/// What the agent gave up with, as the error it meant.
Error error_of(const sys::plan::Failure& failure);

/// Connects to the helper of the container with this state directory. InvalidState when it is gone.
Result<UniqueFd> connect(const std::string& state_dir);
Result<> tell(int socket, json::Object message, std::span<const int> fds = {});
/// The next answer, checked. Timeout; InvalidState when the helper is gone.
Result<json::Value> hear(int socket, std::chrono::milliseconds limit);
/// One request and its answer.
Result<json::Value> ask(const std::string& state_dir, json::Object request,
                        std::chrono::milliseconds limit);

/// Exit status of a process of which nobody can tell how it ended.
inline constexpr int kLostCode = 255;

/// signalfd(2), not blocking, for all signals that somebody sends to the container's process; those
/// that are about this one keep their effect.
Result<UniqueFd> catch_signals();

}  // namespace nexcage::vm::host
