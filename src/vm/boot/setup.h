// Makes a kernel for virtual machines out of the distribution's package. Nothing is installed on
// the host: the package is downloaded, unpacked into a directory that goes again, and the kernel
// and the few modules that the machines need are taken out of it.
#pragma once

#include <functional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/vm/boot/kernel.h"

namespace nexcage::vm::boot {

struct SetupOptions {
  std::string directory = kKernels;
  std::string package_file;  // a linux-image .deb; empty: downloaded with apt-get
  /// What apt-get is asked for when there is no file.
  std::string package_name = "linux-image-cloud-amd64";
  std::function<void(const std::string&)> progress;  // told each step; may be empty
};

/// Prepares the kernel and makes it the default; one of the same release is replaced. A setup that
/// was ended half-way leaves nothing that is taken for a kernel. RuntimeNotAvailable naming the
/// program that is missing; RuntimeError with the words of a program that had no success.
Result<Kernel> setup(const SetupOptions& options);

}  // namespace nexcage::vm::boot
