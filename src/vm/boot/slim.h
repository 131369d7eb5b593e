// Kernel modules without what costs a machine that boots in a second too much. Pure.
#pragma once

#include <string>

namespace nexcage::vm::boot {

/// The module without its signature, whose check takes an emulated processor as long as all the
/// rest of its loading (a kernel that does not insist on one notes its absence), and with its type
/// information (section .BTF) hidden, for whose sake the kernel would parse megabytes of its own.
/// What is no 64-bit ELF object comes back as it was.
std::string slim_module(std::string module);

}  // namespace nexcage::vm::boot
