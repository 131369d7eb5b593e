// The process that stands for a further process in the guest.
#pragma once

#include <cstdint>

#include "nexcage/base/unique_fd.h"

namespace nexcage::vm::host {

struct ExecJob {
  UniqueFd socket;   // to the machine's helper
  UniqueFd status;   // to the command that asked: as Host tells its creator
  UniqueFd message;  // protocol::Exec as bytes
  bool terminal = false;
  std::uint16_t rows = 0, columns = 0;
};

/// Hands the helper our standard streams, or the slave of a new terminal, passes signals and window
/// sizes on, and returns the process's code; 255 when the machine was lost.
int run_exec(ExecJob job);

}  // namespace nexcage::vm::host
