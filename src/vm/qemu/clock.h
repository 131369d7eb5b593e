// The host's time stamp counter, which an emulated processor shows to its guest.
#pragma once

#include <cstdint>

namespace nexcage::vm::qemu {

/// Its rate in kHz, measured within a few milliseconds; 0 where there is none.
std::uint64_t measure_tsc_khz();

}  // namespace nexcage::vm::qemu
