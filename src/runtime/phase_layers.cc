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

constexpr mode_t kTreeMode = 0711;
constexpr const char* kDriverAnnotation = "org.nexcage.layerfs";
constexpr const char* kTmpfsAnnotation = "org.nexcage.tmpfs-upper";  // bytes; 0: kernel's default
constexpr mode_t kPrivateMode = 0700;

/// Where the container's own writes go, by the storage that phase 1 decided on.
std::string upper_dir(const Resolved& resolved) {
  if (resolved.storage.kind == storage::Kind::directory)
    return resolved.storage.location + "/" + resolved.request->id;
  return resolved.bundle + "/upper";
}

std::string annotation(const oci::Spec& spec, const char* name) {
  const auto found = spec.annotations.find(name);
  return found == spec.annotations.end() ? std::string() : found->second;
}

Result<std::optional<std::uint64_t>> tmpfs_upper(const oci::Spec& spec) {
  const std::string text = annotation(spec, kTmpfsAnnotation);
  if (text.empty()) return std::optional<std::uint64_t>();
  const auto bytes = parse_u64(text);
  if (!bytes)
    return fail(Errc::InvalidSpec, std::string("annotation ") + kTmpfsAnnotation + ": " +
                                       quote(text) + " is no number of bytes");
  return bytes;
}

/// The layers are mounted through the container's id maps: no file of the image is given another
/// owner.
Result<layerfs::MountRecord> mount_stack(layerfs::Driver& driver,
                                         const layerfs::PreparedStack& stack,
                                         const layerfs::MountPoint& at, const oci::Spec& spec,
                                         layerfs::Storage storage) {
  layerfs::MountOptions options{.storage = storage};
  NX_TRY(options.tmpfs_upper, tmpfs_upper(spec));
  UniqueFd user_namespace;
  if (spec.linux_ && !spec.linux_->uid_mappings.empty()) {
    NX_TRY(user_namespace, sys::make_user_namespace(ranges(spec.linux_->uid_mappings),
                                                    ranges(spec.linux_->gid_mappings)));
    options.user_namespace = user_namespace.get();
    const RootIds root = root_ids(spec);
    options.root_uid = root.uid;
    options.root_gid = root.gid;
  }
  return driver.mount(stack, at, options);
}

Result<> make_storage(Resolved& resolved, const std::string& upper) {
  if (resolved.storage_state() == layerfs::Storage::kept) return {};
  NX_TRY(const bool taken, sys::exists(AT_FDCWD, upper));
  if (taken) return fail(Errc::ContainerExists, "storage directory " + upper + " exists already");
  NX_CHECK(resolved.undo.will_create_dir(upper));
  return sys::mkdirs(upper, kPrivateMode);
}

Result<layerfs::MountPoint> make_mount_point(Resolved& resolved) {
  layerfs::MountPoint at;
  at.target = Paths::layers_mount(resolved.bundle, resolved.request->id);
  at.upper = upper_dir(resolved);
  NX_CHECK(make_storage(resolved, at.upper));
  NX_CHECK(sys::mkdirs(at.target, kTreeMode));
  return at;
}

/// What was written with one driver is nothing to another.
std::string driver_name(const Resolved& resolved) {
  return resolved.former ? resolved.former->layerfs : annotation(resolved.spec, kDriverAnnotation);
}

}  // namespace

Result<Mounted> mount_layers(Resolved resolved, Services& with) {
  Mounted mounted{std::move(resolved), {}};
  if (!mounted.verified) return mounted;
  NX_TRY(auto driver, with.open_layerfs(driver_name(mounted)));
  NX_TRY(layerfs::PreparedStack stack, driver->prepare(*mounted.store, *mounted.verified),
         "prepare the layers of " + mounted.image_name);
  NX_TRY(layerfs::MountPoint at, make_mount_point(mounted));
  NX_CHECK(mounted.undo.will_mount_layers(with.settings.layers, driver->plan(stack, at)));
  auto record = mount_stack(*driver, stack, at, mounted.spec, mounted.storage_state());
  if (!record && record.error().code() == Errc::LayerError) {
    // Garbage collection may have come between: with a leftover of an image that was removed and is
    // there again. What is missing is made once more.
    NX_TRY(stack, driver->prepare(*mounted.store, *mounted.verified),
           "prepare the layers of " + mounted.image_name);
    record = mount_stack(*driver, stack, at, mounted.spec, mounted.storage_state());
  }
  if (!record)
    return fail(std::move(record).error().wrap("mount the layers of " + mounted.image_name));
  mounted.layers = std::move(*record);
  log::debug("layers mounted on " + at.target + " by driver " + mounted.layers->driver + ": " +
             mounted.layers->method);
  return mounted;
}

}  // namespace nexcage::runtime
