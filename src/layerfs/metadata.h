// Owner, mode, times and extended attributes of a file: read from one place, set in another.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::layerfs {

/// Attributes by which overlayfs directs itself; never copied, never taken from an image.
inline constexpr std::string_view kOverlayAttributes = "trusted.overlay.";

struct Metadata {
  mode_t mode = 0;  // permission bits, 07777
  uid_t uid = 0;
  gid_t gid = 0;
  timespec atime{}, mtime{};
  std::map<std::string, std::string> xattrs{};
};

/// The metadata of the file `name` in `dir` (symlink not followed), without trusted.overlay.*.
Result<Metadata> read_metadata(int dir, const std::string& name);

/// Makes a new directory one from which files made in it inherit nothing, wherever it happens to
/// lie: owned by root, 0700, without set-group-ID bit and ACLs.
Result<> make_plain_directory(int fd);

/// Sets owner, mode, attributes and times, in this order: chown(2) clears set-id bits and file
/// capabilities. The file is ours and new: owned by root, or `fd` is a directory made so.
/// `has_it`: it was created with exactly this mode.
enum class ModeState : std::uint8_t { set_it, has_it };
Result<> apply_metadata(int fd, const Metadata& metadata, ModeState mode_state);
/// The same for what cannot be opened: a symlink (which has no mode), a device or a FIFO.
Result<> apply_metadata_at(int dir, const std::string& name, const Metadata& metadata,
                           mode_t file_type);

}  // namespace nexcage::layerfs
