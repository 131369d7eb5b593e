// Phase 3: LayerFS. Verified image -> layers mounted under {bundle}/mounts/{id}.
#include <fcntl.h>

#include "nexcage/base/log.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

constexpr mode_t kTreeMode = 0711;
constexpr mode_t kPrivateMode = 0700;

/// Where the container's own writes go, by the storage that phase 1 decided on.
std::string upper_dir(const Resolved& resolved) {
  if (resolved.storage.kind == storage::Kind::directory)
    return resolved.storage.location + "/" + resolved.request->id;
  return resolved.bundle + "/upper";
}

Result<layerfs::MountPoint> make_mount_point(Resolved& resolved) {
  layerfs::MountPoint at;
  at.target = Paths::layers_mount(resolved.bundle, resolved.request->id);
  at.upper = upper_dir(resolved);
  if (resolved.storage.kind == storage::Kind::directory) {
    NX_TRY(bool taken, sys::exists(AT_FDCWD, at.upper));
    if (taken)
      return fail(Errc::ContainerExists, "storage directory " + at.upper + " exists already");
    NX_CHECK(resolved.undo.will_create_dir(at.upper));
  }
  NX_CHECK(sys::mkdirs(at.target, kTreeMode));
  NX_CHECK(sys::mkdirs(at.upper, kPrivateMode));
  return at;
}

}  // namespace

Result<Mounted> mount_layers(Resolved resolved, Services& with) {
  Mounted mounted{std::move(resolved), {}};
  if (!mounted.verified) return mounted;
  NX_TRY(auto driver, with.open_layerfs());
  NX_TRY(layerfs::PreparedStack stack, driver->prepare(*mounted.store, *mounted.verified),
         "prepare the layers of " + mounted.image_name);
  NX_TRY(layerfs::MountPoint at, make_mount_point(mounted));
  NX_CHECK(mounted.undo.will_mount_layers(with.settings.layers, driver->plan(stack, at)));
  NX_TRY(mounted.layers, driver->mount(stack, at, {}), "mount the layers of " + mounted.image_name);
  log::debug("layers mounted on " + at.target + " by driver " + mounted.layers->driver + ": " +
             mounted.layers->method);
  return mounted;
}

}  // namespace nexcage::runtime
