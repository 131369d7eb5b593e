// Loop devices (loop(4)) for files that a file system must see as a block device.
#pragma once

#include <string>
#include <utility>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::sys {

/// A read-only loop device over a file. It goes by itself when nobody has it open or mounted any
/// more: keep this until the mount is made.
class LoopDevice {
 public:
  /// Sectors of 512 bytes; direct I/O where the file's file system can do it, so that its pages are
  /// not cached twice. Unsupported when the kernel has no loop devices.
  static Result<LoopDevice> attach(int file);
  const std::string& path() const { return path_; }

 private:
  LoopDevice(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
};

}  // namespace nexcage::sys
