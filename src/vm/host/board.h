// Which board a machine gets. Builds of QEMU need not have the small one.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/vm/qemu/machine.h"

namespace nexcage::vm::host {

struct BoardJob {
  qemu::Board wanted = qemu::Board::microvm;
  std::string qemu;        // program
  std::string remembered;  // directory of answers
};

/// The board that is wanted, but q35 for a microvm where this QEMU, asked for its list of machines,
/// does not name it. What it says is kept for this boot of the host and this QEMU. One that does
/// not give a list gets what is wanted: it says itself what is wrong with that.
qemu::Board choose_board(const BoardJob& job);

}  // namespace nexcage::vm::host
