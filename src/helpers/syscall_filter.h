// The system calls a helper does without (seccomp, BPF). It reads what strangers made; whoever
// takes it over must not start programs, look into other processes, or change what the machine is.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::helpers {

enum class Network : std::uint8_t {
  none,    // no socket can be made
  client,  // sockets of IPv4, IPv6, Unix and netlink (name resolution), none that listens
};

/// The program: forbidden calls answer EPERM (clone3: ENOSYS, so that libc takes clone), calls of
/// another architecture kill the process. Empty on a machine whose call numbers we have not written
/// down. Pure.
std::vector<sock_filter> syscall_filter(Network network);

/// Puts it in force for the calling thread and what it starts. no_new_privs must be set. Logged at
/// debug level where the kernel knows no filters.
Result<> enter_syscall_filter(Network network);

}  // namespace nexcage::helpers
