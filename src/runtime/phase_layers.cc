// Phase 3: LayerFS. Verified image -> layers mounted under {bundle}/mounts/{id}.
#include <fcntl.h>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/runtime/id_maps.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

constexpr mode_t kPrivateMode = 0700;

/// The layers are mounted through the container's id maps: no file of the image is given another
/// owner. An image file is filled with the owners as they are, and mounted through the maps itself.
Result<layerfs::MountRecord> mount_stack(layerfs::Driver& driver,
                                         const layerfs::PreparedStack& stack,
                                         const layerfs::MountPoint& at, const Mounted& mounted) {
  const oci::Spec& spec = mounted.spec;
  layerfs::MountOptions options{.storage = mounted.storage_state()};
  NX_TRY(options.tmpfs_upper, tmpfs_upper(spec));
  options.size = mounted.storage.size;
  UniqueFd user_namespace;
  if (has_id_maps(spec) && !mounted.volume.raw) {
    NX_TRY(user_namespace, sys::make_user_namespace(ranges(spec.linux_->uid_mappings),
                                                    ranges(spec.linux_->gid_mappings)));
    options.user_namespace = user_namespace.get();
    const RootIds root = root_ids(spec);
    options.root_uid = root.uid;
    options.root_gid = root.gid;
  }
  return driver.mount(stack, at, options);
}

/// Where the layers go, and what holds the writes on top of them. While an image file is filled
/// these lie in the bundle.
Result<layerfs::MountPoint> make_mount_point(Mounted& mounted) {
  const storage::Volume& volume = mounted.volume;
  layerfs::MountPoint at;
  at.target = Paths::layers_mount(mounted.bundle, mounted.request->id);
  NX_CHECK(sys::mkdirs(at.target, kTreeMode));
  if (volume.raw) {
    at.upper = mounted.bundle + "/upper";
    NX_CHECK(mounted.undo.will_create_dir(at.upper));
    NX_CHECK(sys::mkdirs(at.upper, kPrivateMode));
    return at;
  }
  at.dataset = volume.dataset;
  at.token = volume.token;
  at.upper = volume.dataset.empty() ? volume.writable() : std::string();
  if (mounted.former) return at;
  NX_CHECK(mounted.undo.will_make_volume(volume));
  NX_CHECK(storage::make_volume(volume));
  return at;
}

/// What was written with one driver is nothing to another.
storage::Choice drivers_choice(const Resolved& resolved) {
  storage::Choice choice = resolved.storage;
  if (resolved.former) choice.layerfs = resolved.former->layerfs;
  return choice;
}

Result<storage::Volume> volume_of(const Resolved& resolved) {
  if (resolved.former) return resolved.former->volume;
  if (resolved.planned) return *resolved.planned;
  return storage::plan_volume(resolved.storage, resolved.request->id, resolved.bundle);
}

}  // namespace

Result<std::optional<std::uint64_t>> tmpfs_upper(const oci::Spec& spec) {
  const auto found = spec.annotations.find(storage::kTmpfsAnnotation);
  if (found == spec.annotations.end()) return std::optional<std::uint64_t>();
  const auto bytes = parse_u64(found->second);
  if (!bytes)
    return fail(Errc::InvalidSpec, std::string("annotation ") + storage::kTmpfsAnnotation + ": " +
                                       quote(found->second) + " is no number of bytes");
  return bytes;
}

Result<Mounted> mount_layers(Resolved resolved, Services& with) {
  Mounted mounted{std::move(resolved), {}, {}};
  NX_TRY(mounted.volume, volume_of(mounted));
  NX_TRY(const auto backend, with.open_backend(mounted.backend));
  if (mounted.verified && backend->root_form() == backends::RootForm::disks)
    return open_disks(std::move(mounted), with);
  // What was once filled from the layers needs them no more.
  const bool is_filled = mounted.former && mounted.volume.raw;
  if (!mounted.verified || is_filled) return mounted;
  NX_TRY(auto driver, with.open_layerfs(drivers_choice(mounted)));
  NX_CHECK(mounted.undo.will_prepare_layers(with.settings.layers, std::string(driver->name())));
  NX_TRY(layerfs::PreparedStack stack, driver->prepare(*mounted.store, *mounted.verified),
         "prepare the layers of " + mounted.image_name);
  NX_TRY(layerfs::MountPoint at, make_mount_point(mounted));
  NX_CHECK(mounted.undo.will_mount_layers(with.settings.layers, driver->plan(stack, at)));
  auto record = mount_stack(*driver, stack, at, mounted);
  if (!record && record.error().code() == Errc::LayerError) {
    // Garbage collection may have come between: with a leftover of an image that was removed and is
    // there again. What is missing is made once more.
    NX_TRY(stack, driver->prepare(*mounted.store, *mounted.verified),
           "prepare the layers of " + mounted.image_name);
    record = mount_stack(*driver, stack, at, mounted);
  }
  if (!record)
    return fail(std::move(record).error().wrap("mount the layers of " + mounted.image_name));
  mounted.layers = std::move(*record);
  log::debug("layers mounted on " + at.target + " by driver " + mounted.layers->driver + ": " +
             mounted.layers->method);
  return mounted;
}

}  // namespace nexcage::runtime
