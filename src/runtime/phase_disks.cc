// Phases 3 and 5 for a backend with a kernel of its own: the layers become disks instead of a
// mount.
#include <sys/stat.h>

#include <utility>

#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/storage/raw/image_file.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

/// A directory or a dataset of the host is nothing that another kernel could write to.
Result<> check_storage(const Mounted& mounted) {
  if (mounted.volume.raw || mounted.volume.kind == storage::Kind::local) return {};
  return fail(
      Error(Errc::Unsupported, "storage " + std::string(storage::kind_name(mounted.volume.kind)) +
                                   ": the backend " + mounted.backend +
                                   " writes to a disk or to memory")
          .hint("take storage local or zvol, or an image file (annotation org.nexcage.raw)"));
}

/// A file, or the block device of a ZFS volume: nothing else is given to another kernel. Nobody
/// else has it as long as this very description is open, which QEMU gets.
Result<UniqueFd> open_disk(const storage::Volume& volume, const std::string& path) {
  NX_TRY(UniqueFd disk,
         storage::raw::open_image(path, sys::Access::read_write, storage::raw::Lock::exclusive));
  NX_TRY(const struct stat info, sys::stat_fd(disk.get()));
  const bool device = volume.kind == storage::Kind::zvol;
  if (device ? S_ISBLK(info.st_mode) : S_ISREG(info.st_mode)) return disk;
  return fail(Errc::InvalidState, path + (device ? " is no block device" : " is no file"));
}

/// An empty image, unless it is there from the container's former run. Then a guest has written it,
/// and after a crash the next one recovers its journal: no program of the host reads it.
Result<> open_upper(Stored& stored) {
  const storage::Volume::Image& image = *stored.volume.raw;
  if (!stored.former) {
    NX_CHECK(stored.undo.will_make_volume(stored.volume));
    NX_CHECK(storage::make_volume(stored.volume));
    NX_CHECK(storage::make_file_system(stored.volume,
                                       {.file_system = image.file_system,
                                        .bytes = stored.storage.raw->bytes,
                                        .label = stored.request->id,
                                        .uuid = {}},
                                       {}),
             "image of what the container writes");
  }
  NX_TRY(const std::string path, storage::image_path(stored.volume));
  DiskRoot& root = *stored.disk_root;
  NX_TRY(root.upper, open_disk(stored.volume, path));
  root.disks.upper = root.upper.get();
  root.disks.upper_type = storage::raw::file_system_name(image.file_system);
  return {};
}

}  // namespace

Result<Mounted> open_disks(Mounted mounted, Services& with) {
  NX_CHECK(check_storage(mounted));
  DiskRoot root;
  NX_TRY(root.disks.tmpfs_size, tmpfs_upper(mounted.spec));
  NX_TRY(const auto driver, with.open_disk_layers());
  NX_CHECK(mounted.undo.will_prepare_layers(with.settings.layers, std::string(driver->name())));
  const std::string what = "prepare the layers of " + mounted.image_name;
  NX_TRY(const layerfs::PreparedStack stack, driver->prepare(*mounted.store, *mounted.verified),
         what);
  NX_TRY(root.images, driver->images(stack), what);
  for (const layerfs::StackImage& image : root.images) {
    backends::RootDisks::Image& disk = root.disks.lowers.emplace_back();
    disk.image = image.image.get();
    for (const UniqueFd& device : image.devices) disk.devices.push_back(device.get());
  }
  // For a look at its users; nothing is written, so an empty upper will do.
  layerfs::MountPoint at;
  at.target = Paths::layers_mount(mounted.bundle, mounted.request->id);
  at.upper = mounted.bundle + "/upper";
  NX_CHECK(sys::mkdirs(at.target, kTreeMode));
  NX_CHECK(mounted.undo.will_create_dir(at.upper));
  NX_CHECK(sys::mkdirs(at.upper, 0700));
  NX_CHECK(mounted.undo.will_mount_layers(with.settings.layers, driver->plan(stack, at)));
  NX_TRY(mounted.layers,
         driver->mount(stack, at, {.access = layerfs::Access::read_only, .storage = {}}),
         "look at the layers of " + mounted.image_name);
  mounted.disk_root = std::move(root);
  return mounted;
}

Result<Stored> settle_disks(Stored stored, Services& with) {
  NX_CHECK(layerfs::undo_mount(with.settings.layers, *stored.layers));
  NX_CHECK(sys::remove_tree(stored.layers->at.upper));
  stored.layers.reset();
  if (stored.volume.raw) NX_CHECK(open_upper(stored));
  return stored;
}

}  // namespace nexcage::runtime
