// Mounting overlayfs over directories given by descriptor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs::overlay {

/// More lower directories the kernel does not take (fs/overlayfs/overlayfs.h, OVL_MAX_STACK).
inline constexpr std::size_t kMaxLayers = 500;

struct OverlaySpec {
  std::vector<UniqueFd> lowers;  // top-most first, O_PATH
  UniqueFd upper, work;          // both or none
  UniqueFd upper_mount{};        // they lie in it, and it is attached nowhere else
  std::vector<int> detached{};   // those of `lowers` that are roots of mounts attached nowhere
};

/// Unsupported when the kernel has no overlayfs or the caller may not mount.
Result<> check_overlayfs();

/// How the directories reach the kernel, newest way first.
enum class MountMethod : std::uint8_t {
  descriptors,  // "lowerdir+" by descriptor: Linux 6.13
  strings,      // "lowerdir+" by path: Linux 6.8
  legacy,       // mount(2) with one comma string
};

/// Mounts at `target` by the newest way this kernel knows. LayerError with the kernel's message.
Result<> mount_overlay(const OverlaySpec& spec, const std::string& target);
/// The same by one way only.
Result<> mount_overlay_by(MountMethod method, const OverlaySpec& spec, const std::string& target);
/// The same for kernels before 6.15, which take no directory of a mount that is attached nowhere:
/// for that moment such mounts are attached below a tmpfs on `target`, so that whoever finds them
/// there after a crash undoes them by one unmount of `target`.
Result<> mount_overlay_attached(const OverlaySpec& spec, const std::string& target);

}  // namespace nexcage::layerfs::overlay
