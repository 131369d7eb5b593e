// An archive that the kernel unpacks as its first file system: cpio in the "newc" form
// (Documentation/driver-api/early-userspace/buffer-format.rst). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nexcage::vm::boot {

class CpioWriter {
 public:
  /// Names are relative ("modules/list"); directories come before what is in them. All belongs to
  /// root and is of time 0, so that the same content gives the same bytes.
  void directory(std::string_view name, std::uint32_t mode);
  void file(std::string_view name, std::uint32_t mode, std::string_view content);
  /// The archive, ended and padded to 4 bytes: another may follow it.
  std::string finish() &&;

 private:
  void entry(std::string_view name, std::uint32_t mode, std::string_view content);
  std::string out_;
  std::uint32_t inode_ = 1;
};

}  // namespace nexcage::vm::boot
