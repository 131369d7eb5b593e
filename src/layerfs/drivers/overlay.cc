#include "nexcage/layerfs/drivers/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <set>
#include <utility>

#include "nexcage/layerfs/drivers/overlay_prepare.h"
#include "nexcage/layerfs/drivers/overlay_refs.h"
#include "nexcage/layerfs/metadata.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs::overlay {
namespace {

constexpr const char* kUpper = "upper";
constexpr const char* kWork = "work";
constexpr const char* kRoot = "root";

/// What is ours in MountPoint::upper.
Result<> remove_upper(const std::string& upper) {
  for (const char* name : {kUpper, kWork, kRoot}) NX_CHECK(sys::remove_tree(upper + "/" + name));
  return {};
}

/// The root's metadata: of the top-most layer that describes the root, one hidden by an opaque root
/// included. A layer that does not leaves the root as it is below, which overlayfs cannot know.
Result<Metadata> root_metadata(const LayerStore& store, const PreparedStack& stack) {
  for (const Layer& layer : stack.layers | std::views::reverse) {
    NX_TRY(const auto info, store.find(layer));
    if (info && info->content.root_entry) return read_metadata(store.fd(), info->key + "/fs");
  }
  const timespec now{.tv_sec = 0, .tv_nsec = UTIME_NOW};
  return Metadata{
      .mode = 0755,
      .atime = now,
      .mtime = now,
  };
}

/// The directory `name` in `parent`, made with the root's metadata unless it is there already.
Result<UniqueFd> make_root(int parent, const char* name, const LayerStore& store,
                           const PreparedStack& stack) {
  const bool is_new = mkdirat(parent, name, 0700) == 0;
  if (!is_new && errno != EEXIST) return fail_errno("create directory " + std::string(name));
  NX_TRY(UniqueFd fd, sys::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (is_new) {
    NX_TRY(const Metadata metadata, root_metadata(store, stack));
    NX_CHECK(apply_metadata(fd.get(), metadata, ModeState::set_it));
  }
  return fd;
}

Result<OverlaySpec> make_spec(const LayerStore& store, const PreparedStack& stack,
                              const MountPoint& at, Access access) {
  OverlaySpec spec;
  NX_TRY(const UniqueFd parent, sys::open_at(AT_FDCWD, at.upper, O_RDONLY | O_DIRECTORY));
  if (access == Access::read_only || stack.keys.empty()) {
    NX_TRY(UniqueFd root, make_root(parent.get(), kRoot, store, stack));
    spec.lowers.push_back(std::move(root));
  }
  for (const std::string& key : stack.keys | std::views::reverse) {
    auto tree = sys::open_at(store.fd(), key + "/fs", O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!tree)
      return fail(std::move(tree)
                      .error()
                      .as(Errc::LayerError)
                      .hint("the layer was removed meanwhile; try again"));
    spec.lowers.push_back(std::move(*tree));
  }
  if (access == Access::read_only && !stack.keys.empty()) return spec;
  if (mkdirat(parent.get(), kWork, 0700) != 0 && errno != EEXIST)
    return fail_errno("create the work directory");
  NX_TRY(UniqueFd work, sys::open_at(parent.get(), kWork, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  if (access == Access::read_only) {
    // Nothing over nothing: overlayfs without an upper wants two directories.
    spec.lowers.push_back(std::move(work));
    return spec;
  }
  spec.work = std::move(work);
  NX_TRY(spec.upper, make_root(parent.get(), kUpper, store, stack));
  return spec;
}

}  // namespace

Result<> OverlayDriver::probe() const {
  // fsopen(2) loads the module and checks the permission, and makes nothing.
  const UniqueFd context(fsopen("overlay", FSOPEN_CLOEXEC));
  if (context || errno == ENOSYS) return {};
  if (errno == ENODEV) return fail(Errc::Unsupported, "this kernel has no overlayfs");
  return fail(Error::from_errno(Errc::Unsupported, errno, "overlayfs cannot be mounted")
                  .hint("overlay needs root (CAP_SYS_ADMIN)"));
}

Result<PreparedStack> OverlayDriver::prepare(const image::Store& store, const image::Image& image) {
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root));
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  NX_TRY(const std::vector<LayerInfo> infos, prepare_layers(layers, store, image, options_.unpack));
  PreparedStack stack{.driver = std::string(name()), .layers = layers_of(image), .keys = {}};
  for (const LayerInfo& info : infos) {
    // overlayfs always merges the roots: a layer that hides all below leaves these out.
    if (info.content.root_opaque) stack.keys.clear();
    // It takes no directory twice. The upper one of two equal layers says all the lower one does.
    std::erase(stack.keys, info.key);
    stack.keys.push_back(info.key);
  }
  return stack;
}

Result<> OverlayDriver::mount(const PreparedStack& stack, const MountPoint& at, Access access) {
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root));
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  NX_TRY(const MountRefs refs, MountRefs::open(layers.fd()));
  NX_CHECK(refs.add(at.target, stack.keys), "note the layers in use");
  const auto attach = [&]() -> Result<> {
    NX_TRY(const OverlaySpec spec, make_spec(layers, stack, at, access));
    return mount_overlay(spec, at.target);
  };
  auto attached = attach();
  if (attached) return {};
  Error error = std::move(attached).error();
  for (auto undone : {refs.remove(at.target), remove_upper(at.upper)})
    if (!undone) error = std::move(error).also(std::move(undone).error());
  return fail(std::move(error).wrap("mount layers on " + at.target));
}

Result<> OverlayDriver::unmount(const MountPoint& at) {
  NX_CHECK(sys::unmount(at.target));
  NX_CHECK(remove_upper(at.upper));
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root));
  NX_TRY(const MountRefs refs, MountRefs::open(layers.fd()));
  return refs.remove(at.target);
}

std::vector<std::string> OverlayDriver::notes(const MountPoint& at) const {
  return {sys::clean_path(options_.root + "/overlay/" + MountRefs::note(at.target))};
}

Result<Driver::Freed> OverlayDriver::collect(const std::vector<Layer>& keep, bool dry_run) {
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root));
  Freed freed;
  {
    NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::exclusive));
    NX_TRY(const MountRefs refs, MountRefs::open(layers.fd()));
    NX_TRY(std::set<std::string> wanted, refs.in_use());
    for (const Layer& layer : keep)
      for (std::string& key : possible_keys(layer)) wanted.insert(std::move(key));
    NX_TRY(const std::vector<std::string> keys, layers.keys());
    for (const std::string& key : keys) {
      if (wanted.contains(key)) continue;
      const auto info = layers.info(key);
      freed.bytes += info ? info->content.bytes : 0;
      freed.keys.push_back(key);
      if (!dry_run) NX_CHECK(layers.discard(key));
    }
  }
  // Deleting takes long and needs no lock: nobody can find these any more.
  if (!dry_run) NX_CHECK(layers.remove_stale());
  return freed;
}

Result<std::vector<Usage>> OverlayDriver::usage() const {
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root));
  NX_TRY(const std::vector<std::string> keys, layers.keys());
  std::vector<Usage> all;
  for (const std::string& key : keys) {
    NX_TRY(const LayerInfo info, layers.info(key));
    all.push_back({key, info.content.bytes, info.content.entries});
  }
  return all;
}

std::unique_ptr<Driver> make_driver(Options options) {
  return std::make_unique<OverlayDriver>(std::move(options));
}

}  // namespace nexcage::layerfs::overlay
