#include "nexcage/layerfs/drivers/overlay.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <set>
#include <utility>

#include "nexcage/layerfs/drivers/mount_refs.h"
#include "nexcage/layerfs/drivers/overlay_prepare.h"
#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/layerfs/metadata.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs::overlay {
namespace {

/// As seen through the options' id maps.
Result<Metadata> read_tree_metadata(const LayerStore& store, const std::string& key,
                                    const MountOptions& options) {
  NX_TRY(UniqueFd tree,
         sys::open_at(store.fd(), key + "/" + kTree, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  NX_TRY(const UniqueFd mapped, with_id_map(std::move(tree), options));
  return read_metadata(mapped.get(), ".");
}

/// The root's metadata: of the top-most layer that describes the root, one hidden by an opaque root
/// included. A layer that does not leaves the root as it is below, which overlayfs cannot know.
Result<Metadata> root_metadata(const LayerStore& store, const PreparedStack& stack,
                               const MountOptions& options) {
  for (const Layer& layer : stack.layers | std::views::reverse) {
    NX_TRY(const auto info, find_layer(store, layer));
    if (info && info->content.root_entry) return read_tree_metadata(store, info->key, options);
  }
  return default_root(options);
}

Result<OverlaySpec> make_spec(const LayerStore& store, const PreparedStack& stack,
                              const MountPoint& at, const MountOptions& options) {
  OverlaySpec spec;
  NX_TRY(const Metadata root, root_metadata(store, stack, options));
  if (options.access == Access::read_only || stack.keys.empty()) {
    NX_TRY(UniqueFd bare, make_bare_root(at, root));
    spec.lowers.push_back(std::move(bare));
  }
  for (const std::string& key : stack.keys | std::views::reverse) {
    auto tree = sys::open_at(store.fd(), key + "/" + kTree, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!tree)
      return fail(std::move(tree)
                      .error()
                      .as(Errc::LayerError)
                      .hint("the layer was removed meanwhile; try again"));
    NX_TRY(UniqueFd lower, with_id_map(std::move(*tree), options));
    if (options.user_namespace >= 0) spec.detached.push_back(lower.get());
    spec.lowers.push_back(std::move(lower));
  }
  if (options.access == Access::read_write) {
    NX_TRY(UpperDirs upper, make_upper(at, options, root));
    spec.upper = std::move(upper.upper);
    spec.work = std::move(upper.work);
    spec.upper_mount = std::move(upper.tmpfs);
  } else if (stack.keys.empty()) {
    // Nothing over nothing: overlayfs without an upper wants two directories.
    NX_TRY(UniqueFd nothing, make_bare_directory(at));
    spec.lowers.push_back(std::move(nothing));
  }
  return spec;
}

/// Mounts of the same top-most layer are noted together.
std::string group_of(const PreparedStack& stack) {
  return stack.keys.empty() ? "none" : stack.keys.back();
}

BytesOf bytes_in(const LayerStore& store) {
  return [&store](const std::string& key) -> std::uint64_t {
    const auto info = find_key(store, key);
    return info && *info ? (*info)->content.bytes : 0;
  };
}

}  // namespace

Result<> OverlayDriver::probe() const { return check_overlayfs(); }

Result<PreparedStack> OverlayDriver::prepare(const image::Store& store, const image::Image& image) {
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root, name(), options_.records));
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

MountRecord OverlayDriver::plan(const PreparedStack& stack, const MountPoint& at) const {
  return {.driver = std::string(name()), .at = at, .key = group_of(stack), .method = "overlay"};
}

Result<MountRecord> OverlayDriver::mount(const PreparedStack& stack, const MountPoint& at,
                                         const MountOptions& options) {
  MountRecord record = plan(stack, at);
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root, name(), options_.records));
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  NX_TRY(const MountRefs refs, MountRefs::open(layers.fd()));
  NX_CHECK(refs.add(record.key, at.target, stack.keys), "note the layers in use");
  const auto attach = [&]() -> Result<> {
    NX_TRY(const OverlaySpec spec, make_spec(layers, stack, at, options));
    return mount_overlay(spec, at.target);
  };
  auto attached = attach();
  if (attached) return record;
  Error error = std::move(attached).error();
  auto undone = unmount(record);
  if (undone && options.storage == Storage::fresh) undone = remove_upper(at);
  if (!undone) error = std::move(error).also(std::move(undone).error());
  return fail(std::move(error).wrap("mount layers on " + at.target));
}

Result<> OverlayDriver::unmount(const MountRecord& record) {
  NX_CHECK(sys::unmount(record.at.target));
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root, name(), options_.records));
  NX_TRY(const MountRefs refs, MountRefs::open(layers.fd()));
  NX_CHECK(refs.remove(record.key, record.at.target));
  NX_CHECK(refs.unused(record.key));  // and its directory is gone
  return {};
}

Result<> OverlayDriver::sweep() {
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root, name(), options_.records));
  return layers.remove_stale();
}

Result<std::vector<Prepared>> OverlayDriver::list() const {
  NX_TRY(const LayerStore layers, LayerStore::open(options_.root, name(), options_.records));
  NX_TRY(const std::vector<std::string> keys, layers.keys());
  NX_TRY(const MountRefs refs, MountRefs::open(layers.fd()));
  NX_TRY(MountRefs::Counts in_use, refs.in_use());
  std::vector<Prepared> all;
  for (const std::string& key : keys) {
    const auto info_or_damage = find_key(layers, key);
    if (!info_or_damage) all.push_back({.key = key, .kind = "damaged", .references = in_use[key]});
    if (!info_or_damage || !*info_or_damage) continue;
    const LayerInfo* info = &**info_or_damage;
    Prepared one{.key = key,
                 .kind = "tree",
                 .bytes = info->content.bytes,
                 .entries = info->content.entries,
                 .diff_ids = {},
                 .chain_id = {},
                 .parent = info->parent,
                 .references = in_use[key]};
    if (info->diff_id) one.diff_ids.push_back(*info->diff_id);
    if (!info->content.self_contained)
      one.chain_id = oci::Digest::from_hex("sha256", std::string_view(key).substr(2));
    all.push_back(std::move(one));
  }
  return all;
}

std::vector<Result<>> OverlayDriver::verify(std::span<const std::string> keys) const {
  std::vector<Result<>> results;
  results.reserve(keys.size());
  for (const std::string& key : keys)
    results.emplace_back(fail(
        Error(Errc::Unsupported, "prepared layer " + key + " is an unpacked tree, without a digest")
            .hint("remove it; it is unpacked again, and verified, when it is needed")));
  return results;
}

std::vector<Result<std::uint64_t>> OverlayDriver::remove(std::span<const std::string> keys) {
  const auto layers = LayerStore::open(options_.root, name(), options_.records);
  if (!layers) return {keys.size(), std::unexpected(layers.error())};
  return remove_keys(*layers, keys, bytes_in(*layers));
}

std::unique_ptr<Driver> make_driver(Options options) {
  return std::make_unique<OverlayDriver>(std::move(options));
}

}  // namespace nexcage::layerfs::overlay
