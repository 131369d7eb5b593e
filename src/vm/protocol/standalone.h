// What a machine that has no vm helper beside it is to do: the record that lies in its initramfs
// and takes the place of the conversation with the host (a guest of Proxmox VE).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/vm/protocol/message.h"

namespace nexcage::vm::protocol {

/// The record's name in the root of the initramfs.
inline constexpr std::string_view kStandaloneFile = "standalone";
/// Name of the program there that the agent starts in the host's place, and the descriptor that is
/// then its end of the line between the two.
inline constexpr std::string_view kKeeperFile = "keeper";
inline constexpr int kKeeperLine = 3;
/// The `path` of a guest-exec whose only argument is the Base64 of encode(Exec): this plan is run
/// as it is, not `Standalone::exec` with other arguments.
inline constexpr std::string_view kExecPlanPath = "nexcage-exec";
/// Longest record that an agent reads.
inline constexpr std::size_t kMaxStandalone = 8u << 20;

/// The container of such a machine, and how it is ended. It is prepared and started at once.
struct Standalone {
  Prepare prepare;
  /// A further process as `guest-exec` has it: environment, directory and user of the container's.
  /// Its arguments are replaced; it has no terminal.
  Exec exec;
  std::uint32_t stop_signal = 15;   // sent to the container's process by `guest-shutdown`
  std::uint32_t stop_seconds = 10;  // then all that still runs is killed
  static void each(auto& self, auto&& field) {
    field("prepare", self.prepare);
    field("exec", self.exec);
    field("stop_signal", self.stop_signal);
    field("stop_seconds", self.stop_seconds);
  }
};

/// The record behind a Hello of this build.
std::string encode(const Standalone& record);

/// As decode() of message.h: RuntimeError for bytes that encode() cannot have made and for values
/// out of their range, RuntimeNotAvailable for the record of another version.
template <>
Result<Standalone> decode<Standalone>(std::string_view payload);

}  // namespace nexcage::vm::protocol
