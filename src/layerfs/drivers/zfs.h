// Driver `zfs`: an image is a dataset, filled once and snapshotted; a container's root file system
// is a clone of it. One command of zfs for a container, however many there are.
//
//   {parent}/nexcage/images/{chain ID}            the image's files; never mounted again
//   {parent}/nexcage/images/{chain ID}@complete   what containers are cloned from
//   {parent}/{container}                          the clone, mountpoint=legacy: mounted by us alone
//
// What lies outside of the configured dataset cannot be named (storage/zfs/dataset.h). Of what lies
// in it only datasets are destroyed that carry our mark: the property kImageProperty, or the token
// of a container's record in kOwnerProperty.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/drivers/layer_store.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/storage/zfs/client.h"

namespace nexcage::layerfs::zfs_driver {

class ZfsDriver final : public Driver {
 public:
  explicit ZfsDriver(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return "zfs"; }
  /// ConfigError without a dataset, or with one that does not exist; RuntimeNotAvailable without
  /// ZFS.
  Result<> probe() const override;
  Result<PreparedStack> prepare(const image::Store& store, const image::Image& image) override;
  MountRecord plan(const PreparedStack& stack, const MountPoint& at) const override;
  /// Clones, or mounts the dataset again that an earlier mount made (Storage::kept). Read-only, the
  /// snapshot itself is mounted. ContainerExists for a dataset that is not this container's.
  Result<MountRecord> mount(const PreparedStack& stack, const MountPoint& at,
                            const MountOptions& options) override;
  /// Detaches the tree. The dataset stays; it is the caller's to destroy (storage/zfs/owned.h).
  Result<> unmount(const MountRecord& record) override;
  Result<> sweep() override;
  /// References are the clones.
  Result<std::vector<Prepared>> list() const override;
  /// Unsupported: ZFS checks its blocks itself.
  std::vector<Result<>> verify(std::span<const std::string> keys) const override;
  /// InvalidState for an image that has clones.
  std::vector<Result<std::uint64_t>> remove(std::span<const std::string> keys) override;

 private:
  Result<LayerStore> open_store() const {
    return LayerStore::open(options_.root, name(), options_.records);
  }
  Result<storage::zfs::Client> client() const;
  Options options_;
};

/// The driver's maker for the table in open.cc.
std::unique_ptr<Driver> make_driver(Options options);

}  // namespace nexcage::layerfs::zfs_driver
