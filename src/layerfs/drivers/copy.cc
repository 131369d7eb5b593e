#include "nexcage/layerfs/drivers/copy.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <utility>

#include "nexcage/layerfs/drivers/erofs_files.h"
#include "nexcage/layerfs/drivers/erofs_prepare.h"
#include "nexcage/layerfs/drivers/erofs_store.h"
#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/id_map.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs::copy {

Result<> CopyDriver::probe() const {
  if (geteuid() == 0) return {};
  return fail(Errc::Unsupported, "files of any owner can be made by root only");
}

Result<PreparedStack> CopyDriver::prepare(const image::Store& store, const image::Image& image) {
  NX_TRY(const LayerStore layers, open_store());
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  NX_CHECK(
      erofs_driver::prepare_stack(layers, store, image, {.form = ConvertForm::plain}, options_));
  PreparedStack stack{.driver = std::string(name()), .layers = layers_of(image), .keys = {}};
  stack.keys = erofs_driver::keys_of(stack.layers, ConvertForm::plain).tars;
  return stack;
}

MountRecord CopyDriver::plan(const PreparedStack& /*stack*/, const MountPoint& at) const {
  return {.driver = std::string(name()), .at = at, .key = {}, .method = "copy"};
}

Result<> CopyDriver::write_tree(const LayerStore& layers, const PreparedStack& stack,
                                const std::string& directory) const {
  ConvertJob job{.layers = {}, .form = ConvertForm::plain, .outputs = {directory}};
  for (const Layer& layer : stack.layers) {
    const std::string key = erofs_driver::tar_key(layer.diff_id);
    NX_TRY(const auto tar, erofs_driver::find_tar(layers, key));
    if (!tar)
      return fail(Error(Errc::LayerError, "prepared layer " + key + " was removed meanwhile")
                      .hint("try again"));
    job.layers.push_back({.blob_path = {},
                          .compression = oci::Compression::none,
                          .digest = layer.diff_id,
                          .diff_id = layer.diff_id,
                          .size = tar->bytes,
                          .tar_path = layers.path() + "/" + key + "/" + erofs_driver::kTarFile,
                          .tar_is_there = true});
  }
  if (job.layers.empty()) return {};
  NX_CHECK(options_.convert(job));
  return {};
}

Result<> CopyDriver::attach_copy(const LayerStore& layers, const PreparedStack& stack,
                                 const MountPoint& at, const MountOptions& options) const {
  const bool in_memory = options.tmpfs_upper.has_value();
  if (in_memory) {
    NX_TRY(const sys::DetachedMount tmpfs, make_tmpfs(*options.tmpfs_upper));
    NX_CHECK(sys::attach(tmpfs, at.target));
  } else if (!keeps_upper(options)) {
    NX_CHECK(make_bare_root(at, default_root({})));
  }
  const std::string directory = in_memory ? at.target : bare_root_path(at);
  if (!keeps_upper(options)) NX_CHECK(write_tree(layers, stack, directory));
  NX_TRY(const sys::DetachedMount tree, sys::clone_mount(AT_FDCWD, directory, sys::Recursive::no));
  if (options.user_namespace >= 0)
    NX_CHECK(sys::map_ids(tree.get(), options.user_namespace, sys::Recursive::no));
  if (options.access == Access::read_only)
    NX_CHECK(sys::set_attributes(tree.get(), MOUNT_ATTR_RDONLY, 0, 0, sys::Recursive::no));
  if (in_memory) NX_CHECK(sys::unmount(at.target));
  return sys::attach(tree, at.target);
}

Result<MountRecord> CopyDriver::mount(const PreparedStack& stack, const MountPoint& at,
                                      const MountOptions& options) {
  MountRecord record = plan(stack, at);
  NX_TRY(const LayerStore layers, open_store());
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  auto attached = attach_copy(layers, stack, at, options);
  if (attached) return record;
  Error error = std::move(attached).error();
  auto undone = unmount(record);
  if (undone && options.storage == Storage::fresh) undone = remove_upper(at);
  if (!undone) error = std::move(error).also(std::move(undone).error());
  return fail(std::move(error).wrap("copy layers to " + at.target));
}

Result<> CopyDriver::unmount(const MountRecord& record) { return sys::unmount(record.at.target); }

Result<> CopyDriver::sweep() {
  NX_TRY(const LayerStore layers, open_store());
  return layers.remove_stale();
}

Result<std::vector<Prepared>> CopyDriver::list() const {
  NX_TRY(const LayerStore layers, open_store());
  return erofs_driver::list_files(layers);
}

std::vector<Result<>> CopyDriver::verify(std::span<const std::string> keys) const {
  return erofs_driver::verify_files(open_store(), keys, options_.hash);
}

std::vector<Result<std::uint64_t>> CopyDriver::remove(std::span<const std::string> keys) {
  return erofs_driver::remove_files(open_store(), keys);
}

std::unique_ptr<Driver> make_driver(Options options) {
  return std::make_unique<CopyDriver>(std::move(options));
}

}  // namespace nexcage::layerfs::copy
