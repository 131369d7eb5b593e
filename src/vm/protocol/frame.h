// Frames between the host's vm helper and the agent in the guest: what lies on the wire of the
// virtio-serial port. A codec without I/O; both sides check every length and every field.
//
//   length u32 (of the payload, at most 64 KiB), type u16, flags u16 (0), session u32, payload
//
// All integers are little endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::vm::protocol {

/// Which end of the line somebody is: it decides who may send what.
enum class Role : std::uint8_t { host, guest };

/// What a frame is. The payloads are the records of message.h of the same name.
enum class Type : std::uint16_t {
  hello = 1,      // both; the guest's is the first frame of all, the host answers with its own
  part = 2,       // host: bytes in front of the next prepare or exec of the same number
  prepare = 3,    // host: Prepare, what the container is. Once
  prepared = 4,   // guest: the container's process waits for start
  start = 5,      // host: start it
  started = 6,    // guest: Started, the user's program was executed
  exec = 7,       // host: Exec, a further process under a new session
  data = 8,       // both: one byte of stream, then what was written to it
  credit = 9,     // both: Credit, so many bytes more may be sent
  eof = 10,       // both: one byte, the stream that has ended
  signal = 11,    // host: Signal
  winsize = 12,   // host: WindowSize
  exit = 13,      // guest: Exit; the last frame of its session
  shutdown = 14,  // host: end everything, write everything back, power off
  error = 15,     // guest: sys::plan::Failure; the session never began, or kProtocolSession
};
inline constexpr std::uint16_t kLastType = 15;

inline constexpr std::size_t kHeaderSize = 12;
inline constexpr std::size_t kMaxPayload = 64u << 10;
/// Session of the container's first process; further processes have numbers of the host's choice
/// that it never uses twice.
inline constexpr std::uint32_t kContainerSession = 0;
/// Session of an `error` about the conversation itself; the connection ends with it.
inline constexpr std::uint32_t kProtocolSession = UINT32_MAX;

struct Frame {
  Type type = Type::hello;
  std::uint32_t session = 0;
  std::string payload;
  bool operator==(const Frame&) const = default;
};

/// Appends the frame's bytes. `payload` and `rest`, which follows it, have at most kMaxPayload
/// bytes.
void append_frame(std::string& out, Type type, std::uint32_t session, std::string_view payload,
                  std::string_view rest = {});

/// "prepare"; for messages.
std::string_view type_name(Type type);

/// Cuts a stream of bytes into frames. After an error it gives nothing but this error.
class Decoder {
 public:
  /// Bytes as they came, in any portion.
  void feed(std::string_view bytes);
  /// The next whole frame; nullopt when there is none yet. RuntimeError for a length beyond
  /// kMaxPayload, an unknown type, or flags.
  Result<std::optional<Frame>> next();
  /// True between frames: an end of the stream here cuts nothing off.
  bool at_boundary() const { return used_ == buffer_.size(); }

 private:
  std::string buffer_;
  std::size_t used_ = 0;  // bytes in front of the buffer that were given out
  bool broken_ = false;
};

}  // namespace nexcage::vm::protocol
