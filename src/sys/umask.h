// The file mode creation mask of the process, out of the way for a while.
#pragma once

#include <sys/stat.h>

namespace nexcage::sys {

/// Sets the umask to 0 and restores it when it goes: what is made meanwhile gets exactly the mode
/// that was asked for, whatever the caller's shell says. Process-wide: for single-threaded code.
class NoUmask {
 public:
  NoUmask() : old_(::umask(0)) {}
  ~NoUmask() { ::umask(old_); }
  NoUmask(const NoUmask&) = delete;
  NoUmask& operator=(const NoUmask&) = delete;

 private:
  mode_t old_;
};

}  // namespace nexcage::sys
