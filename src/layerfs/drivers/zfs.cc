#include "nexcage/layerfs/drivers/zfs.h"

#include <sys/mount.h>

#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/layerfs/drivers/zfs_images.h"
#include "nexcage/storage/zfs/owned.h"
#include "nexcage/storage/zfs/volume.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/id_map.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs::zfs_driver {
namespace {

using storage::zfs::Client;
using storage::zfs::Dataset;
using storage::zfs::Failure;
using storage::zfs::OwnedDataset;
using storage::zfs::Parent;

Error removed_meanwhile(const std::string& key, Error why) {
  return std::move(why)
      .as(Errc::LayerError)
      .hint("it is made again when needed")
      .wrap("the dataset of prepared image " + key);
}

storage::zfs::Properties clone_properties(const MountOptions& options) {
  storage::zfs::Properties properties{{"acltype", "posixacl"}, {"xattr", "sa"}};
  if (options.size) properties.emplace_back("refquota", std::to_string(*options.size));
  return properties;
}

Result<> attach(const sys::DetachedMount& tree, const MountPoint& at, const MountOptions& options) {
  if (options.user_namespace >= 0)
    NX_CHECK(sys::map_ids(tree.get(), options.user_namespace, sys::Recursive::no),
             "see the dataset through the container's id maps (ZFS can do it from 2.2)");
  return sys::attach(tree, at.target);
}

}  // namespace

Result<Client> ZfsDriver::client() const {
  if (options_.zfs_dataset.empty())
    return fail(Error(Errc::ConfigError, "LayerFS driver zfs needs a dataset")
                    .hint("set [zfs] dataset to the one in which containers shall be"));
  NX_TRY(Parent parent, Parent::parse(options_.zfs_dataset), "configuration [zfs] dataset");
  return Client(std::move(parent));
}

Result<> ZfsDriver::probe() const {
  NX_TRY(const Client zfs, client());
  return zfs.probe();
}

Result<PreparedStack> ZfsDriver::prepare(const image::Store& store, const image::Image& image) {
  NX_TRY(const Client zfs, client());
  NX_TRY(const LayerStore layers, open_store());
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  NX_CHECK(prepare_image(layers, zfs, store, image, options_));
  PreparedStack stack{.driver = std::string(name()), .layers = layers_of(image), .keys = {}};
  stack.keys.push_back(key_of(stack.layers, zfs.parent()));
  return stack;
}

MountRecord ZfsDriver::plan(const PreparedStack& stack, const MountPoint& at) const {
  return {.driver = std::string(name()), .at = at, .key = stack.keys.front(), .method = "clone"};
}

Result<MountRecord> ZfsDriver::mount(const PreparedStack& stack, const MountPoint& at,
                                     const MountOptions& options) {
  MountRecord record = plan(stack, at);
  if (options.tmpfs_upper)
    return fail(Errc::Unsupported, "driver zfs keeps what is written in a dataset, not in memory");
  NX_TRY(const LayerStore layers, open_store());
  NX_TRY(const sys::FileLock lock, layers.lock(sys::FileLock::Kind::shared));
  NX_TRY(const auto info, find_image(layers, record.key));
  if (!info)
    return fail(Error(Errc::LayerError, "prepared image " + record.key + " was removed meanwhile")
                    .hint("try again"));
  NX_TRY(const Located image, locate(*info));
  if (options.access == Access::read_only) {
    record.method = "snapshot";
    NX_TRY(const sys::DetachedMount tree,
           sys::new_mount("zfs", {{.key = "source", .value = image.snapshot.name()}},
                          MOUNT_ATTR_RDONLY));
    NX_CHECK(attach(tree, at, options));
    return record;
  }
  NX_TRY(const OwnedDataset owned, OwnedDataset::make(info->parent, at.dataset, at.token));
  if (options.storage == Storage::fresh) {
    auto cloned = owned.clone(image.snapshot, clone_properties(options), options_.zfs_cloner);
    if (!cloned && storage::zfs::failure_of(cloned.error()) == Failure::no_such_dataset) {
      NX_CHECK(layers.discard(record.key));
      return fail(removed_meanwhile(record.key, std::move(cloned).error()));
    }
    if (!cloned) return fail(std::move(cloned).error());
    testpoint("zfs-cloned");
  }
  const auto mount_dataset = [&]() -> Result<> {
    NX_TRY(const sys::DetachedMount tree, storage::zfs::mount_dataset(owned.dataset(), 0));
    return attach(tree, at, options);
  };
  auto mounted = mount_dataset();
  if (mounted) return record;
  Error error = std::move(mounted).error();
  auto undone = unmount(record);
  if (undone && options.storage == Storage::fresh) undone = owned.destroy();
  if (!undone) error = std::move(error).also(std::move(undone).error());
  return fail(std::move(error).wrap("mount dataset " + owned.dataset().name()));
}

Result<> ZfsDriver::unmount(const MountRecord& record) { return sys::unmount(record.at.target); }

Result<> ZfsDriver::sweep() {
  NX_TRY(const LayerStore layers, open_store());
  return layers.remove_stale(undo_filling);
}

Result<std::vector<Prepared>> ZfsDriver::list() const {
  NX_TRY(const LayerStore layers, open_store());
  NX_TRY(const std::vector<std::string> keys, layers.keys());
  std::vector<Prepared> all;
  for (const std::string& key : keys) {
    const auto info = find_image(layers, key);
    if (!info) all.push_back({.key = key, .kind = "damaged"});
    if (!info || !*info) continue;
    Prepared one{.key = key,
                 .kind = "dataset",
                 .bytes = (*info)->bytes,
                 .entries = (*info)->entries,
                 .diff_ids = (*info)->diff_ids,
                 .chain_id = {},
                 .parent = {},
                 .references = 0};
    if (!one.diff_ids.empty()) one.chain_id = image::chain_ids(one.diff_ids).back();
    // A pool that is away has no clones that could be counted; the note stays.
    const auto image = locate(**info);
    const auto snapshots = image ? image->client.snapshots(image->dataset)
                                 : Result<std::vector<storage::zfs::SnapshotInfo>>();
    if (snapshots)
      for (const auto& snapshot : *snapshots)
        if (snapshot.label == kComplete)
          one.references = static_cast<std::uint32_t>(snapshot.clones);
    if (!snapshots) log::debug(snapshots.error().message());
    all.push_back(std::move(one));
  }
  return all;
}

std::vector<Result<>> ZfsDriver::verify(std::span<const std::string> keys) const {
  std::vector<Result<>> results;
  results.reserve(keys.size());
  for (const std::string& key : keys)
    results.emplace_back(
        fail(Error(Errc::Unsupported, "prepared image " + key + " is a dataset, without a digest")
                 .hint("zpool scrub checks every block of the pool")));
  return results;
}

std::vector<Result<std::uint64_t>> ZfsDriver::remove(std::span<const std::string> keys) {
  const auto store = open_store();
  if (!store) return {keys.size(), std::unexpected(store.error())};
  const auto lock = store->lock(sys::FileLock::Kind::exclusive);
  if (!lock) return {keys.size(), std::unexpected(lock.error())};
  const auto remove_one = [&](const std::string& key) -> Result<std::uint64_t> {
    NX_TRY(const auto info, find_image(*store, key));
    if (!info) return fail(Errc::LayerError, "there is no prepared layer " + key);
    NX_TRY(const Located image, locate(*info));
    // The snapshot first: without it nothing is cloned any more, and what is cut short here is made
    // anew or destroyed by the next who comes.
    auto destroyed = image.client.destroy(image.snapshot);
    if (!destroyed && storage::zfs::failure_of(destroyed.error()) == Failure::has_dependents)
      return fail(std::move(destroyed)
                      .error()
                      .as(Errc::InvalidState)
                      .hint("delete the containers first")
                      .wrap("prepared image " + key + " is in use"));
    if (destroyed) destroyed = image.client.destroy(image.dataset);
    if (!destroyed) return fail(std::move(destroyed).error());
    NX_CHECK(store->discard(key));
    return info->bytes;
  };
  std::vector<Result<std::uint64_t>> results;
  results.reserve(keys.size());
  for (const std::string& key : keys) results.push_back(remove_one(key));
  if (auto swept = store->remove_stale(undo_filling); !swept) log::warning(swept.error().message());
  return results;
}

std::unique_ptr<Driver> make_driver(Options options) {
  return std::make_unique<ZfsDriver>(std::move(options));
}

}  // namespace nexcage::layerfs::zfs_driver
