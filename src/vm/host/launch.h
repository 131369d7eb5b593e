// What the vm helper is told of the machine it is to run: written by the backend, read by the
// helper, as JSON in memory. Everything was decided before.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/vm/qemu/machine.h"

namespace nexcage::vm::host {

/// A directory or file of the host that the guest is to have.
struct Share {
  std::string source;  // absolute path
  std::string tag;     // of the virtiofs device
  bool file = false;   // then the device's root holds nothing but it, named kSharedFile
  bool read_only = false;
  bool recursive = false;  // with what is mounted below
};
inline constexpr const char* kSharedFile = "file";

/// The dialects of virtiofsd.
enum class Virtiofsd : std::uint8_t { c, rust };

/// A port of the host that leads to one of QEMU's user-mode network.
struct Forward {
  int listener = -1;        // a listening socket; descriptor of the helper
  std::uint16_t outer = 0;  // qemu::PortForward's
};

inline constexpr int kNoOomScore = 10'000;  // as the creator has it

struct Launch {
  std::string qemu;  // path
  /// Descriptors of disks and taps are the helper's own; those of monitor, agent and shares, which
  /// it makes itself, are filled in there.
  qemu::Machine machine;
  std::vector<Forward> forwards;
  std::vector<Share> shares;
  std::string virtiofsd;  // path; empty without shares
  Virtiofsd dialect = Virtiofsd::c;
  std::string state_dir;                  // of the container; the control socket is in it
  std::vector<std::string> cgroup_files;  // files that a process writes "0" to, to get in
  bool terminal = false;
  std::uint16_t rows = 0, columns = 0;  // 0: not said
  /// Something that outlives the guest is written by it: it is shut down and not just ended.
  bool persistent = false;
  int boot_seconds = 120;
  int start_seconds = 10;       // 0: as long as the guest's hooks take
  int oom_score = kNoOomScore;  // oom_score_adj of QEMU and its helpers
};

std::string to_text(const Launch& launch);
/// InvalidJson for what to_text() cannot have made.
Result<Launch> launch_from_text(std::string_view text);

/// Name of the control socket in the state directory, and of the file that says why a machine
/// ended that did not end by itself.
inline constexpr const char* kControlSocket = "vm.sock";
inline constexpr const char* kReasonFile = "vm.reason";

}  // namespace nexcage::vm::host
