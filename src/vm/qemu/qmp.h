// QEMU's machine protocol (qmp-spec.txt) over a connected stream socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/json/value.h"

namespace nexcage::vm::qemu {

/// What else happens while QEMU is waited for: its output must be read, or it waits for us.
struct Meanwhile {
  int fd = -1;                   // -1: nothing
  std::function<bool()> read{};  // called when there is something; false: that was the end
};

/// A session of commands, one after the other. Every wait has a limit: Timeout. RuntimeError for
/// what QEMU answers that is no success, is not JSON, is longer than a message may be, or answers
/// another command. After a Timeout the session is of no use: the answer may still come.
class Qmp {
 public:
  using Time = std::chrono::milliseconds;

  /// Reads the greeting and asks for no capabilities. Takes the socket over.
  static Result<Qmp> open(UniqueFd socket, Time limit, const Meanwhile& meanwhile = {});

  /// Sends a command, returns the member "return" of its answer. Events that come between are
  /// forgotten.
  Result<json::Value> execute(const std::string& command, Time limit,
                              const Meanwhile& meanwhile = {});

 private:
  explicit Qmp(UniqueFd socket) : socket_(std::move(socket)) {}
  Result<json::Value> receive(std::chrono::steady_clock::time_point until,
                              const Meanwhile& meanwhile);
  Result<json::Value> answer(std::uint64_t id, Time limit, const Meanwhile& meanwhile);

  UniqueFd socket_;
  std::uint64_t last_id_ = 0;
  std::string buffer_;  // received, no whole line yet or not looked at
};

}  // namespace nexcage::vm::qemu
