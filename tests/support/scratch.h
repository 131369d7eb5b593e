// Where tests put files that need no real disk.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace nexcage {

/// A directory in memory where the host has one: thousands of small files cost milliseconds there
/// and seconds on a busy disk.
inline std::string scratch_parent() {
  struct stat info{};
  const bool usable = ::stat("/dev/shm", &info) == 0 && S_ISDIR(info.st_mode) &&
                      ::access("/dev/shm", W_OK | X_OK) == 0;
  return usable ? "/dev/shm" : "/tmp";
}

}  // namespace nexcage
