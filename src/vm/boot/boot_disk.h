// The disk that a machine boots from whose firmware is all that helps it (a guest of Proxmox VE):
// a partition table, one FAT file system, a boot loader, kernel and initramfs.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/vm/boot/kernel.h"

namespace nexcage::vm::boot {

/// What is on a boot disk.
struct BootDisk {
  Kernel kernel;       // `image` is booted, with `initrd`
  std::string init;    // path of the agent, libexec/nexcage/init; `keeper` lies beside it
  std::string record;  // protocol::encode(Standalone)
  std::vector<std::string> file_systems{};  // of the machine's disks, as for assemble_initrd()
  std::vector<std::string> parameters{};    // of the kernel, behind kernel_line()'s own
};

/// "console=ttyS0 panic=-1 ...": the kernel's command line.
std::string kernel_line(const BootDisk& what);

/// Makes the disk as a raw image at `target`, a new file of mode 0600 that is as small as its
/// content permits; the same content gives the same bytes. BIOS boots it from any controller it
/// knows. No privilege is needed and nothing is mounted. RuntimeNotAvailable naming the package of
/// a tool that is missing, or `nexcage vm setup` when the kernel has no `image`; FileError when
/// `target` exists, or with the words of a tool. After an error there is no file.
Result<> make_boot_disk(const BootDisk& what, const std::string& target);

}  // namespace nexcage::vm::boot
