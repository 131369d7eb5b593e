// Phases 3 and 5 for a backend with a kernel of its own: the layers become disks instead of a
// mount.
#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

constexpr mode_t kTreeMode = 0711;

/// A directory or a dataset of the host is nothing that another kernel could write to.
Result<> check_storage(const Mounted& mounted) {
  if (mounted.volume.raw || mounted.volume.kind == storage::Kind::local) return {};
  return fail(Error(Errc::Unsupported,
                    "storage " + std::string(storage::kind_name(mounted.volume.kind)) +
                        ": the backend " + mounted.backend + " writes to a disk or to memory")
                  .hint("take storage local, or an image file (annotation org.nexcage.raw)"));
}

/// An empty image, unless it is there from the container's former run.
Result<> open_upper(Stored& stored) {
  const storage::Volume::Image& image = *stored.volume.raw;
  if (!stored.former) {
    NX_CHECK(stored.undo.will_make_volume(stored.volume));
    NX_CHECK(storage::make_volume(stored.volume));
    NX_CHECK(storage::raw::make_image(image.path,
                                      {.file_system = image.file_system,
                                       .bytes = stored.storage.raw->bytes,
                                       .label = stored.request->id,
                                       .uuid = {}},
                                      {}),
             "image of what the container writes");
  } else {
    NX_CHECK(storage::raw::check_image(image.path, image.file_system));
  }
  DiskRoot& root = *stored.disk_root;
  NX_TRY(root.upper, sys::open_at(AT_FDCWD, image.path, O_RDWR | O_NOFOLLOW));
  NX_TRY(const struct stat info, sys::stat_fd(root.upper.get()));
  if (!S_ISREG(info.st_mode)) return fail(Errc::InvalidState, image.path + " is no file");
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
