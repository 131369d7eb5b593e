// The kernel and the initramfs that virtual machines are booted with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::vm::boot {

/// Where `nexcage vm setup` leaves kernels:
/// {kKernels}/{release}/{vmlinux,vmlinuz,initrd,initrd.xfs,config.json}, and a link "default" to
/// the one that is taken.
inline constexpr const char* kKernels = "/var/lib/nexcage/vm";

/// Files to boot from, by path.
struct Kernel {
  std::string release;  // "6.1.0-44-cloud-amd64"; empty for one that is not ours
  std::string kernel;   // vmlinux or bzImage
  std::string initrd;   // modules for it, without the agent; empty: none are needed
  std::string image{};  // bzImage of the same kernel, for boot loaders; empty: none is known
};

/// The kernel that was prepared last. RuntimeNotAvailable, naming the command that prepares one,
/// when there is none.
Result<Kernel> find_kernel(const std::string& directory = kKernels);

/// The initramfs for a boot: `initrd` (may be empty), for each of `file_systems` the archive apart
/// that lies beside it, where there is one, then an archive with the agent (`init`, the path of
/// libexec/nexcage/init) as /init, and at last `more`, an archive of the caller's. A sealed file in
/// memory.
Result<UniqueFd> assemble_initrd(const std::string& initrd, const std::string& init,
                                 const std::vector<std::string>& file_systems = {},
                                 std::string_view more = {});

/// Path of the archive apart with the modules of a file system, beside the initramfs.
std::string archive_apart(const std::string& initrd, std::string_view file_system);

}  // namespace nexcage::vm::boot
