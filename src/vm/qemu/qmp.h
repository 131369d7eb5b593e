// QEMU's machine protocol (qmp-spec.txt) over a connected stream socket.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/json/value.h"

namespace nexcage::vm::qemu {

/// A session of commands, one after the other. Every wait has a limit: Timeout. RuntimeError for
/// what QEMU answers that is no success, is not JSON, or is longer than a message may be.
class Qmp {
 public:
  using Time = std::chrono::milliseconds;

  /// Reads the greeting and asks for no capabilities. Takes the socket over.
  static Result<Qmp> open(UniqueFd socket, Time limit);

  /// Sends a command, returns the member "return" of its answer. Events that come between are
  /// forgotten.
  Result<json::Value> execute(const std::string& command, Time limit);
  Result<json::Value> execute(const std::string& command, json::Object arguments, Time limit);

  /// For poll(2): something to read means events, or the end of QEMU.
  int fd() const { return socket_.get(); }
  /// Reads away what is there. False when QEMU has closed the connection.
  Result<bool> drain();

 private:
  explicit Qmp(UniqueFd socket) : socket_(std::move(socket)) {}
  Result<json::Value> receive(std::chrono::steady_clock::time_point until);
  Result<json::Value> answer(Time limit);

  UniqueFd socket_;
  std::string buffer_;  // received, no whole line yet or not looked at
};

}  // namespace nexcage::vm::qemu
