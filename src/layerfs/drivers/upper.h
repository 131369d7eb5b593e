// The writable side of a mount: where a container's own files go.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/layerfs/metadata.h"

namespace nexcage::layerfs {

/// What overlayfs takes as upper and work directory (O_PATH).
struct UpperDirs {
  UniqueFd upper, work;
  UniqueFd tmpfs{};  // to be kept until the mount over it is made
};
/// What an earlier mount wrote is used again: Storage::kept, and not in memory.
bool keeps_upper(const MountOptions& options);
/// "upper" and "work" in `at.upper`, or in a tmpfs. The upper directory gets the root's metadata
/// when it is new; one that is kept must be there, and gets a new work directory. With a user
/// namespace `root` is to be what is seen through its maps: the upper itself is not mapped, since
/// overlayfs makes its files there as the mounter, whose own ids the maps do not have.
Result<UpperDirs> make_upper(const MountPoint& at, const MountOptions& options,
                             const Metadata& root);
/// An empty directory "root" in `at.upper` with the root's metadata, for mounts without an upper.
Result<UniqueFd> make_bare_root(const MountPoint& at, const Metadata& root);
/// Another, empty, directory in `at.upper`.
Result<UniqueFd> make_bare_directory(const MountPoint& at);
/// The path of "root" in `at.upper`.
std::string bare_root_path(const MountPoint& at);
/// Removes what these functions made, and what was written there.
Result<> remove_upper(const MountPoint& at);

/// A tmpfs of `size` bytes (0: the kernel's default) that is attached nowhere.
Result<UniqueFd> make_tmpfs(std::uint64_t size);

/// The root's metadata of an image that says nothing about it.
Metadata default_root(const MountOptions& options);

/// A detached copy of the mount that `fd` (a directory) lies in, from that directory on, owners
/// seen through the options' user namespace; `fd` itself without one.
Result<UniqueFd> with_id_map(UniqueFd fd, const MountOptions& options);

}  // namespace nexcage::layerfs
