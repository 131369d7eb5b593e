// Driver `overlay`: layers unpacked into directories that all images share, joined by overlayfs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/drivers/overlay_layers.h"
#include "nexcage/layerfs/drivers/overlay_mount.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs::overlay {

class OverlayDriver final : public Driver {
 public:
  explicit OverlayDriver(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return "overlay"; }
  /// Unsupported when the kernel has no overlayfs or the caller may not mount.
  Result<> probe() const override;
  Result<PreparedStack> prepare(const image::Store& store, const image::Image& image) override;
  MountRecord plan(const PreparedStack& stack, const MountPoint& at) const override;
  Result<MountRecord> mount(const PreparedStack& stack, const MountPoint& at,
                            const MountOptions& options) override;
  Result<> unmount(const MountRecord& record) override;
  Result<> sweep() override;
  Result<std::vector<Prepared>> list() const override;
  /// Unsupported: an unpacked tree has no digest.
  std::vector<Result<>> verify(std::span<const std::string> keys) const override;
  std::vector<Result<std::uint64_t>> remove(std::span<const std::string> keys) override;

 private:
  Options options_;
};

/// The driver's maker for the table in open.cc.
std::unique_ptr<Driver> make_driver(Options options);

}  // namespace nexcage::layerfs::overlay
