// Phase 5: the storage. A clone, or an upper directory, came with the layers; what is left to make
// is an image file that they fill, and the copy of a bundle's root file system.
#include <fcntl.h>

#include "nexcage/runtime/id_maps.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/storage/copy_tree.h"
#include "nexcage/storage/zfs/owned.h"
#include "nexcage/storage/zfs/volume.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::runtime {
namespace {

/// The layers have done their part: they are in the image file now.
Result<> release_layers(Stored& stored, const Settings& settings) {
  if (!stored.layers) return {};
  NX_CHECK(sys::unmount(stored.rootfs));
  NX_CHECK(layerfs::undo_mount(settings.layers, *stored.layers));
  NX_CHECK(sys::remove_tree(stored.layers->at.upper));
  stored.layers.reset();
  return {};
}

Result<> fill_image(Stored& stored, const Settings& settings) {
  const storage::raw::ImageSpec spec{.file_system = stored.volume.raw->file_system,
                                     .bytes = stored.storage.raw->bytes,
                                     .label = stored.request->id,
                                     .uuid = {}};
  NX_CHECK(storage::make_file_system(stored.volume, spec, stored.rootfs),
           "raw image of the root file system");
  NX_CHECK(release_layers(stored, settings));
  NX_TRY(const sys::DetachedMount tree, open_image(stored.volume));
  NX_TRY(stored.rootfs, attach_root(stored, tree));
  return {};
}

/// The files of a bundle go into a dataset or directory of the container's own.
Result<> copy_bundle(Stored& stored) {
  const std::string source = stored.rootfs;
  if (stored.volume.kind == storage::Kind::zfs) {
    NX_TRY(const auto owned,
           storage::zfs::OwnedDataset::parse(stored.volume.dataset, stored.volume.token));
    storage::zfs::Properties properties{{"acltype", "posixacl"}, {"xattr", "sa"}};
    if (stored.storage.size)
      properties.emplace_back("refquota", std::to_string(*stored.storage.size));
    NX_CHECK(owned.create(properties));
    NX_TRY(const sys::DetachedMount tree, storage::zfs::mount_dataset(owned.dataset(), 0));
    NX_TRY(stored.rootfs, attach_root(stored, tree));
    return storage::copy_tree(source, stored.rootfs);
  }
  const std::string target = stored.volume.writable() + "/rootfs";
  NX_CHECK(sys::mkdirs(target, kTreeMode));
  NX_CHECK(storage::copy_tree(source, target));
  NX_TRY(const sys::DetachedMount tree, sys::clone_mount(AT_FDCWD, target, sys::Recursive::no));
  NX_TRY(stored.rootfs, attach_root(stored, tree));
  return {};
}

/// A bundle of somebody else's gets the directory {id}, which must not be one of theirs.
Result<> claim_place(Stored& stored) {
  const std::string place = stored.bundle + "/" + stored.request->id;
  NX_TRY(const bool taken, sys::exists(AT_FDCWD, place));
  if (taken)
    return fail(Error(Errc::ContainerExists, place + " exists already")
                    .hint("the container's root file system is mounted there; choose another id"));
  NX_CHECK(stored.undo.will_create_dir(place));
  return sys::mkdirs(place, kTreeMode);
}

/// True for a volume whose making is left to this phase: LayerFS has made the others.
bool is_left_to_do(const Stored& stored) {
  if (stored.former) return false;
  if (stored.volume.raw) return true;
  return !stored.verified && stored.volume.kind != storage::Kind::bundle &&
         stored.volume.kind != storage::Kind::local;
}

}  // namespace

Result<sys::DetachedMount> open_image(const storage::Volume& volume) {
  const storage::raw::FileSystem file_system = volume.raw->file_system;
  NX_TRY(const std::string path, storage::image_path(volume));
  NX_CHECK(storage::raw::check_image(path, file_system));
  return storage::raw::mount_image(path, file_system, 0);
}

Result<std::string> attach_root(Mounted& mounted, const sys::DetachedMount& tree) {
  std::string target = Paths::rootfs(mounted.bundle, mounted.request->id);
  NX_CHECK(sys::mkdirs(target, kTreeMode));
  if (has_id_maps(mounted.spec) && mounted.verified) {
    const oci::Linux& maps = *mounted.spec.linux_;
    NX_TRY(const UniqueFd names,
           sys::make_user_namespace(ranges(maps.uid_mappings), ranges(maps.gid_mappings)));
    NX_CHECK(sys::map_ids(tree.get(), names.get(), sys::Recursive::no));
  }
  NX_CHECK(mounted.undo.will_mount(target));
  NX_CHECK(sys::attach(tree, target));
  return target;
}

Result<Stored> settle_storage(Rooted rooted, Services& with) {
  Stored stored{std::move(rooted), {}};
  // The mount on "/" named a storage; it is no mount of the container.
  stored.spec_changed = std::erase_if(stored.spec.mounts, storage::is_root_mount) > 0;
  if (stored.disk_root) return settle_disks(std::move(stored), with);
  if (!is_left_to_do(stored)) return stored;
  const std::string before = stored.rootfs;
  if (!stored.verified) NX_CHECK(claim_place(stored));
  NX_CHECK(stored.undo.will_make_volume(stored.volume));
  NX_CHECK(storage::make_volume(stored.volume));
  if (stored.volume.raw)
    NX_CHECK(fill_image(stored, with.settings));
  else
    NX_CHECK(copy_bundle(stored));
  stored.spec_changed = stored.spec_changed || stored.rootfs != before;
  return stored;
}

}  // namespace nexcage::runtime
