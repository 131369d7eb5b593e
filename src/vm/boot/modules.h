// Which kernel modules a machine gets, and in which order their files are loaded. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::vm::boot {

/// A module that the agent may ask for: the files to load, its own last, relative to the kernel's
/// directory of modules ("kernel/fs/erofs/erofs.ko").
struct Module {
  std::string name;
  std::vector<std::string> files;
  bool operator==(const Module&) const = default;
};

/// What the agent asks for, in the order in which it does: transports, console, disks, file
/// systems, network. One that a kernel does not have as a module is built in, or missed when it is
/// needed.
std::span<const std::string_view> wanted_modules();
/// Those that are large and seldom needed, in archives of their own: file systems.
std::span<const std::string_view> modules_apart();

/// Resolves names against modules.dep (modules.dep(5): "file: what it needs", to be loaded from the
/// right to the left). Names without a file are left out. FileError for a text that is none.
Result<std::vector<Module>> plan_modules(std::string_view modules_dep,
                                         std::span<const std::string_view> wanted);

/// "kernel/fs/fuse/fuse.ko.xz" -> "fuse.ko": the file's name in the initramfs, where it is not
/// compressed.
std::string plain_name(std::string_view file);

/// /modules/list of the initramfs, or /modules/list.NAME of an archive apart: one line for each
/// module, its name and the files to load.
std::string module_list(const std::vector<Module>& modules);

}  // namespace nexcage::vm::boot
