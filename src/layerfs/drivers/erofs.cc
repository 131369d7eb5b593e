#include "nexcage/layerfs/drivers/erofs.h"

#include <fcntl.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/layerfs/drivers/erofs_files.h"
#include "nexcage/layerfs/drivers/erofs_prepare.h"
#include "nexcage/layerfs/drivers/mount_refs.h"
#include "nexcage/layerfs/drivers/overlay_mount.h"
#include "nexcage/layerfs/drivers/shared_mounts.h"
#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/id_map.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs::erofs_driver {
namespace {

/// The stack's images, lowest first: its keys without the tars'.
std::vector<std::string> images_of(const PreparedStack& stack) {
  std::vector<std::string> images;
  for (const std::string& key : stack.keys)
    if (!is_tar_key(key)) images.push_back(key);
  return images;
}

/// Containers of the same stack share their mounts.
std::string group_of(const PreparedStack& stack) {
  const std::vector<std::string> images = images_of(stack);
  return images.empty() ? "none" : images.back();
}

Result<ImageFiles> open_image(const LayerStore& store, const std::string& key) {
  NX_TRY(const auto info, find_image(store, key));
  if (!info)
    return fail(Error(Errc::LayerError, "prepared layer " + key + " was removed meanwhile")
                    .hint("try again"));
  ImageFiles files;
  NX_TRY(files.image, open_checked(store, key, info->bytes, info->verity));
  for (const TarInfo& device : info->devices) {
    NX_TRY(UniqueFd tar, open_checked(store, tar_key(device.diff_id), device.bytes, device.verity));
    files.devices.push_back(std::move(tar));
  }
  return files;
}

Result<sys::DetachedMount> mount_one(const LayerStore& store, const std::string& key,
                                     Source source) {
  NX_TRY(const ImageFiles files, open_image(store, key));
  return mount_image(files, source);
}

/// Overlayfs, or for reading alone a single EROFS as it is.
Result<> attach_tree(std::span<const UniqueFd> roots, const MountPoint& at,
                     const MountOptions& options) {
  if (options.access == Access::read_only && roots.size() == 1) {
    NX_TRY(const sys::DetachedMount tree,
           sys::clone_mount(roots.front().get(), "", sys::Recursive::no));
    if (options.user_namespace >= 0)
      NX_CHECK(sys::map_ids(tree.get(), options.user_namespace, sys::Recursive::no));
    return sys::attach(tree, at.target);
  }
  overlay::OverlaySpec spec;
  for (const UniqueFd& lower : roots | std::views::reverse) {
    NX_TRY(UniqueFd path, sys::open_at(lower.get(), ".", O_PATH | O_DIRECTORY));
    NX_TRY(UniqueFd mapped, with_id_map(std::move(path), options));
    if (options.user_namespace >= 0) spec.detached.push_back(mapped.get());
    spec.lowers.push_back(std::move(mapped));
  }
  Metadata root = default_root(options);
  if (!roots.empty()) {
    NX_TRY(root, read_metadata(spec.lowers.front().get(), "."));
  }
  if (roots.empty()) {
    NX_TRY(UniqueFd bare, make_bare_root(at, root));
    spec.lowers.push_back(std::move(bare));
  }
  if (options.access == Access::read_write) {
    NX_TRY(UpperDirs upper, make_upper(at, options, root));
    spec.upper = std::move(upper.upper);
    spec.work = std::move(upper.work);
    spec.upper_mount = std::move(upper.tmpfs);
  } else if (roots.empty()) {
    NX_TRY(UniqueFd nothing, make_bare_directory(at));
    spec.lowers.push_back(std::move(nothing));
  }
  return overlay::mount_overlay(spec, at.target);
}

}  // namespace

Result<ConvertForm> ErofsDriver::form(const Abilities& abilities) const {
  if (!options_.form) return abilities.small_blocks ? ConvertForm::merged : ConvertForm::full;
  if (*options_.form == ConvertForm::plain)
    return fail(Errc::ConfigError, "driver erofs has no form plain");
  if (!abilities.small_blocks && *options_.form != ConvertForm::full)
    return fail(Error(Errc::Unsupported, "form " + std::string(form_name(*options_.form)) +
                                             " needs EROFS with blocks of 512 bytes (Linux 6.4)")
                    .hint("take form full"));
  return *options_.form;
}

Result<> ErofsDriver::probe() const {
  NX_CHECK(overlay::check_overlayfs());
  NX_TRY(const LayerStore store, open_store());
  NX_TRY(const Abilities abilities, erofs_driver::probe(store));
  NX_CHECK(form(abilities));
  return {};
}

Result<PreparedStack> ErofsDriver::prepare(const image::Store& store, const image::Image& image) {
  NX_TRY(const LayerStore layers, open_store());
  NX_TRY(const Abilities abilities, erofs_driver::probe(layers));
  NX_TRY(const ConvertForm chosen, form(abilities));
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  NX_CHECK(prepare_stack(layers, store, image, {chosen, inbox()}, options_));
  PreparedStack stack{.driver = std::string(name()), .layers = layers_of(image), .keys = {}};
  StackKeys keys = keys_of(stack.layers, chosen);
  for (std::string& key : keys.images) {
    if (chosen == ConvertForm::index) {
      NX_TRY(const auto info, find_image(layers, key));
      // Overlayfs always merges the roots: a layer that hides all below leaves these out.
      if (info && info->root_opaque) stack.keys.clear();
    }
    stack.keys.push_back(std::move(key));
  }
  for (std::string& key : keys.tars)
    if (std::ranges::find(stack.keys, key) == stack.keys.end())
      stack.keys.push_back(std::move(key));
  return stack;
}

Result<std::string> ErofsDriver::open_inbox() {
  const std::scoped_lock lock(inbox_mutex_);
  if (!inbox_) {
    NX_TRY(LayerStore store, open_store());
    NX_TRY(const Abilities abilities, erofs_driver::probe(store));
    NX_TRY(const ConvertForm chosen, form(abilities));
    if (chosen == ConvertForm::full) return std::string();  // its data is not in tars
    NX_TRY(const std::string suffix, sys::random_hex(8));
    auto made = std::make_unique<Inbox>(std::move(store));
    NX_TRY(WorkDirectory directory, WorkDirectory::claim(made->store, "inbox-" + suffix));
    made->directory.emplace(std::move(directory));
    inbox_ = std::move(made);
  }
  return inbox_->directory->path();
}

int ErofsDriver::inbox() const {
  const std::scoped_lock lock(inbox_mutex_);
  return inbox_ ? inbox_->directory->fd() : -1;
}

MountRecord ErofsDriver::plan(const PreparedStack& stack, const MountPoint& at) const {
  return {.driver = std::string(name()), .at = at, .key = group_of(stack), .method = {}};
}

Result<MountRecord> ErofsDriver::mount(const PreparedStack& stack, const MountPoint& at,
                                       const MountOptions& options) {
  MountRecord record = plan(stack, at);
  NX_TRY(const LayerStore layers, open_store());
  NX_TRY(const Abilities abilities, erofs_driver::probe(layers));
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  NX_TRY(const MountRefs refs, MountRefs::open(layers.fd()));
  NX_TRY(const SharedMounts shared, SharedMounts::open(layers));
  const std::vector<std::string> images = images_of(stack);
  record.method = std::string(images.empty() ? "nothing" : image_form(images.front())) + ", from " +
                  std::string(source_name(abilities.source));
  const auto make = [&]() -> Result<std::vector<sys::DetachedMount>> {
    NX_CHECK(refs.forget_earlier_boots(record.key));
    std::vector<sys::DetachedMount> mounts;
    for (const std::string& key : images) {
      NX_TRY(sys::DetachedMount one, mount_one(layers, key, abilities.source));
      mounts.push_back(std::move(one));
    }
    return mounts;
  };
  const auto use = [&](std::span<const UniqueFd> roots) { return attach_tree(roots, at, options); };
  auto mounted = refs.add(record.key, at.target, stack.keys);
  if (mounted) mounted = shared.with(record.key, images.size(), make, use);
  if (mounted) return record;
  Error error = std::move(mounted).error();
  auto undone = unmount(record);
  if (undone && options.storage == Storage::fresh) undone = remove_upper(at);
  if (!undone) error = std::move(error).also(std::move(undone).error());
  return fail(std::move(error).wrap("mount layers on " + at.target));
}

Result<> ErofsDriver::unmount(const MountRecord& record) {
  NX_CHECK(sys::unmount(record.at.target));
  NX_TRY(const LayerStore layers, open_store());
  NX_TRY(const MountRefs refs, MountRefs::open(layers.fd()));
  NX_CHECK(refs.remove(record.key, record.at.target));
  NX_TRY(const SharedMounts shared, SharedMounts::open(layers));
  return shared.release(record.key, refs);
}

Result<> ErofsDriver::sweep() {
  NX_TRY(const LayerStore layers, open_store());
  return layers.remove_stale();
}

Result<std::vector<StackImage>> ErofsDriver::images(const PreparedStack& stack) const {
  NX_TRY(const LayerStore layers, open_store());
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  std::vector<StackImage> out;
  for (const std::string& key : images_of(stack)) {
    NX_TRY(ImageFiles files, open_image(layers, key));
    out.push_back({.image = std::move(files.image), .devices = std::move(files.devices)});
  }
  return out;
}

Result<std::vector<Prepared>> ErofsDriver::list() const {
  NX_TRY(const LayerStore layers, open_store());
  return list_files(layers);
}

std::vector<Result<>> ErofsDriver::verify(std::span<const std::string> keys) const {
  return verify_files(open_store(), keys, options_.hash);
}

std::vector<Result<std::uint64_t>> ErofsDriver::remove(std::span<const std::string> keys) {
  auto results = remove_files(open_store(), keys);
  const auto sweep = [&]() -> Result<> {
    NX_TRY(const LayerStore layers, open_store());
    NX_TRY(const MountRefs refs, MountRefs::open(layers.fd()));
    NX_TRY(const SharedMounts shared, SharedMounts::open(layers));
    return shared.sweep(refs);
  };
  if (auto swept = sweep(); !swept) log::warning(swept.error().message());
  return results;
}

std::unique_ptr<Driver> make_driver(Options options) {
  return std::make_unique<ErofsDriver>(std::move(options));
}

}  // namespace nexcage::layerfs::erofs_driver
