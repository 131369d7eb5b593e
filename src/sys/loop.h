// Loop devices (loop(4)) for files that a file system must see as a block device.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/access.h"

namespace nexcage::sys {

/// A loop device over a file. It goes by itself when nobody has it open or mounted any more: keep
/// this until the mount is made. It holds the file's open description: a lock (flock(2)) on `file`
/// lasts as long as the device.
class LoopDevice {
 public:
  /// Sectors of 512 bytes; direct I/O where the file's file system can do it, so that its pages are
  /// not cached twice. A writable device needs a file that is open for writing. Unsupported when
  /// the kernel has no loop devices.
  static Result<LoopDevice> attach(int file, Access access = Access::read_only);
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

 private:
  LoopDevice(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
};

/// Lets a loop device see that its file has grown (LOOP_SET_CAPACITY). What is on it is not
/// touched.
Result<> grow_loop(int device_fd);

/// The loop device below a mounted file system.
struct MountedLoop {
  std::string device;        // "/dev/loop7"
  std::string backing_file;  // as the kernel says it now: a renamed file has its new name
  dev_t backing_device = 0;  // what stat(2) says of the file: st_dev and st_ino
  ino_t backing_inode = 0;
};
/// nullopt for a file system that lies on something else. A directory within the file system does
/// as well as its mount point.
Result<std::optional<MountedLoop>> loop_of_mount(const std::string& mount_point);
Result<std::optional<MountedLoop>> loop_of_mount(int directory);

}  // namespace nexcage::sys
