// POSIX access control lists as extended attributes (acl(5)). Setting one of them changes a file's
// mode; a tree that is not written through the kernel must do the same.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::layerfs::tree {

/// The attributes' names.
inline constexpr std::string_view kAccessAcl = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

struct PosixAcl {
  /// The list as the kernel gives it back; empty when it has no entries.
  std::string value;
  /// The permission bits (0777) that a file with this access list has.
  mode_t permissions = 0;
  /// It says no more than these bits do: as an access list the kernel does not keep it.
  bool is_mode_only = false;
};

/// Reads the value of either attribute. InvalidImage for one that the kernel refuses: another
/// version, entries out of order, missing or twice, permissions that are none.
Result<PosixAcl> parse_posix_acl(std::string_view value);

}  // namespace nexcage::layerfs::tree
