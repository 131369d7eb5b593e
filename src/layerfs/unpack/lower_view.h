// The merged view of the layers below the one being unpacked, read without a mount: the unpacking
// process then needs neither a mount namespace nor a kernel that takes layers by descriptor.
// The rules are those of overlayfs (Documentation/filesystems/overlayfs.rst): the nearest layer
// that has a name decides; directories merge until one is opaque; a character device 0:0 hides.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::layerfs::unpack {

class LowerView {
 public:
  /// `layers`: prepared directories, nearest first.
  static Result<LowerView> open(const std::vector<std::string>& layers);

  enum class Kind { missing, directory, symlink, other };
  /// A name in the merged view: the directory descriptor and name it has in the layer that decides.
  struct Found {
    Kind kind = Kind::missing;
    UniqueFd dir;
    std::string name;
    std::string link_target;  // of a symlink
  };
  /// `path` is relative and clean; no symlink is followed: one in the middle makes it missing.
  Result<Found> find(const std::string& path) const;

 private:
  explicit LowerView(std::vector<UniqueFd> roots) : roots_(std::move(roots)) {}
  std::vector<UniqueFd> roots_;
};

/// The attribute by which overlayfs marks a directory that hides what is below it, and its value.
inline constexpr const char* kOpaqueAttribute = "trusted.overlay.opaque";
inline constexpr char kOpaqueValue = 'y';

}  // namespace nexcage::layerfs::unpack
