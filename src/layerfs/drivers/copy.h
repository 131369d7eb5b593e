// Driver `copy`: each container gets the image's files in a directory of its own. Needs nothing of
// the kernel; costs the time and the space of a copy.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/drivers/layer_store.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs::copy {

/// Prepared are the layers' tars, as driver erofs has them; each mount writes the tree from these.
class CopyDriver final : public Driver {
 public:
  explicit CopyDriver(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return "copy"; }
  /// Works wherever there is root.
  Result<> probe() const override;
  Result<PreparedStack> prepare(const image::Store& store, const image::Image& image) override;
  MountRecord plan(const PreparedStack& stack, const MountPoint& at) const override;
  /// The tree is `at.upper`/root, or in a tmpfs, attached to the target.
  Result<MountRecord> mount(const PreparedStack& stack, const MountPoint& at,
                            const MountOptions& options) override;
  Result<> unmount(const MountRecord& record) override;
  Result<> sweep() override;
  Result<std::vector<Prepared>> list() const override;
  std::vector<Result<>> verify(std::span<const std::string> keys) const override;
  std::vector<Result<std::uint64_t>> remove(std::span<const std::string> keys) override;

 private:
  Result<LayerStore> open_store() const {
    return LayerStore::open(options_.root, name(), options_.records);
  }
  Result<> write_tree(const LayerStore& layers, const PreparedStack& stack,
                      const std::string& directory) const;
  Result<> attach_copy(const LayerStore& layers, const PreparedStack& stack, const MountPoint& at,
                       const MountOptions& options) const;
  Options options_;
};

/// The driver's maker for the table in open.cc.
std::unique_ptr<Driver> make_driver(Options options);

}  // namespace nexcage::layerfs::copy
