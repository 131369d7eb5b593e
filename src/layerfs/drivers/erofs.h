// Driver `erofs`: a layer's tar is kept as it was inflated, and mounted through a small EROFS
// index; overlayfs puts the container's upper directory on top. Nothing is unpacked.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/drivers/erofs_probe.h"
#include "nexcage/layerfs/drivers/erofs_store.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs::erofs_driver {

class ErofsDriver final : public Driver {
 public:
  explicit ErofsDriver(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return "erofs"; }
  /// Unsupported when the kernel cannot mount what the driver makes, by file or by loop device, or
  /// has no overlayfs.
  Result<> probe() const override;
  Result<PreparedStack> prepare(const image::Store& store, const image::Image& image) override;
  Result<std::string> open_inbox() override;
  MountRecord plan(const PreparedStack& stack, const MountPoint& at) const override;
  /// Read-only, one EROFS is attached as it is; else overlayfs over one (form index: over one a
  /// layer), which all containers of the image share.
  Result<MountRecord> mount(const PreparedStack& stack, const MountPoint& at,
                            const MountOptions& options) override;
  Result<> unmount(const MountRecord& record) override;
  Result<> sweep() override;
  Result<std::vector<StackImage>> images(const PreparedStack& stack) const override;
  Result<std::vector<Prepared>> list() const override;
  /// Reads tars and indexes again.
  std::vector<Result<>> verify(std::span<const std::string> keys) const override;
  std::vector<Result<std::uint64_t>> remove(std::span<const std::string> keys) override;

 private:
  Result<LayerStore> open_store() const {
    return LayerStore::open(options_.root, name(), options_.records);
  }
  Result<ConvertForm> form(const Abilities& abilities) const;
  /// -1 while there is none.
  int inbox() const;
  Options options_;
  /// The inbox and the store that it lies in; stays where it is made.
  struct Inbox {
    explicit Inbox(LayerStore opened) : store(std::move(opened)) {}
    LayerStore store;
    std::optional<WorkDirectory> directory;
  };
  mutable std::mutex inbox_mutex_;
  std::unique_ptr<Inbox> inbox_;
};

/// The driver's maker for the table in open.cc.
std::unique_ptr<Driver> make_driver(Options options);

}  // namespace nexcage::layerfs::erofs_driver
