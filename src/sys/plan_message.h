// What the runtime and the first process say to each other beside the plan.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::sys::plan {

/// Messages between the runtime and the first process, over a SOCK_SEQPACKET socket: one byte of
/// kind, then its content.
enum class MessageKind : char {
  hello = 'H',     // init: the four bytes of its pid as it sees itself
  go = 'G',        // runtime: number of descriptors that follow (u32); the first is the plan
  fds = 'F',       // runtime: further descriptors
  terminal = 'T',  // init: one descriptor, the pty's master
  listener = 'L',  // init: one descriptor, the seccomp filter's notifications
  mounted = 'M',   // init, from WaitForRuntime
  proceed = 'P',   // runtime: the answer
  ready = 'R',     // init, from WaitForStart
  failed = 'E',    // init or helper: a Failure
};

/// Why the first process gave up.
struct Failure {
  std::uint32_t code = 0;       // Errc
  std::int32_t error = 0;       // errno, 0: none
  std::int32_t operation = -1;  // index in the plan, -1: outside of it
  std::string text;
  static void each(auto& self, auto&& field) {
    field("code", self.code);
    field("error", self.error);
    field("operation", self.operation);
    field("text", self.text);
  }
};
std::string encode(const Failure& failure);
Result<Failure> decode_failure(std::string_view bytes);

}  // namespace nexcage::sys::plan
