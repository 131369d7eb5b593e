// openat2(2) for the other files of sys/; users take the functions of fs.h.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::sys {

/// openat2 with these RESOLVE_* flags, O_CLOEXEC added. EAGAIN (a rename or mount raced with "..")
/// is tried again a bounded number of times. Returns the descriptor or -1 with errno.
int openat2_retry(int dir, const char* path, int flags, mode_t mode, std::uint64_t resolve);

/// "a/b/c" -> {"a/b", "c"}; "c" -> {"", "c"}; "/c" -> {"/", "c"}. Trailing slashes are dropped.
std::pair<std::string, std::string> split_last(std::string_view path);

}  // namespace nexcage::sys
