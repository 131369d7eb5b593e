// A store, a driver over it and helpers, for the suites that run over LayerFS drivers.
#pragma once

#include <fcntl.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "layer_scratch.h"
#include "nexcage/layerfs/convert/convert.h"
#include "nexcage/layerfs/garbage.h"
#include "nexcage/layerfs/hasher.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/layerfs/unpack/unpack_layer.h"
#include "nexcage/sys/fs.h"
#include "oci_layout.h"
#include "result_matchers.h"
#include "tar_writer.h"
#include "tree_compare.h"

namespace nexcage::layerfs {

namespace fs = std::filesystem;
using ::nexcage::testing::LayerScratch;
using ::nexcage::testing::OciLayout;
using ::nexcage::testing::read_tree;
using ::nexcage::testing::TarMember;
using ::nexcage::testing::TarWriter;
using ::nexcage::testing::Tree;
using ::testing::HasSubstr;

/// A driver, and for erofs the form of what it prepares.
struct Way {
  std::string driver;
  std::optional<ConvertForm> form{};
  std::string name() const { return form ? driver + "_" + std::string(form_name(*form)) : driver; }
};
inline std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name(); }

inline std::string name_of(const ::testing::TestParamInfo<Way>& info) { return info.param.name(); }

/// Called after each layer that is unpacked or inflated.
using OnLayer = std::function<void()>;

class LayerfsDriver : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    NX_NEEDS_ROOT();
    layout_ = std::make_unique<OciLayout>(scratch_ / "images");
    auto store = image::Store::open(scratch_ / "images", image::Store::IfMissing::fail);
    ASSERT_OK(store);
    store_ = std::make_unique<image::Store>(std::move(*store));
    driver_ = open_driver(options([this] { ++unpacked_; }));
  }
  void TearDown() override {
    for (const MountRecord& record : mounted_) EXPECT_OK(driver_->unmount(record));
  }

  /// The work is done in this process.
  Options options(const OnLayer& on_layer) const {
    return {.root = scratch_ / "layers",
            .driver = GetParam().driver,
            .unpack =
                [on_layer](const UnpackJob& job) {
                  auto result = unpack::unpack_layer(job);
                  on_layer();
                  return result;
                },
            .convert =
                [on_layer](const ConvertJob& job) {
                  auto result = convert::convert(job);
                  for (const ConvertJob::LayerIn& layer : job.layers)
                    if (!layer.tar_is_there) on_layer();
                  return result;
                },
            .hash = helper_hasher(NEXCAGE_TEST_LIBEXEC),
            .form = GetParam().form};
  }
  static std::unique_ptr<Driver> open_driver(const Options& options) {
    auto driver = layerfs::open(options);
    EXPECT_OK(driver);
    return driver ? std::move(*driver) : nullptr;
  }
  std::string temporaries() const { return scratch_ / ("layers/" + GetParam().driver + "/.tmp"); }
  bool keeps_tars() const { return GetParam().form != ConvertForm::full; }
  std::size_t count_of_layers() {
    std::size_t count = 0;
    const auto all = driver_->list();
    EXPECT_OK(all);
    if (all)
      for (const Prepared& one : *all) count += one.kind == "tar" || one.kind == "tree" ? 1 : 0;
    return count;
  }

  PreparedStack prepare(const image::Image& image) {
    auto stack = driver_->prepare(*store_, image);
    EXPECT_OK(stack);
    return stack ? *stack : PreparedStack{};
  }
  MountPoint place(const std::string& name) {
    MountPoint at{.target = scratch_ / (name + "-target"), .upper = scratch_ / (name + "-upper")};
    fs::create_directories(at.target);
    fs::create_directories(at.upper);
    return at;
  }
  /// Mounts and returns the path of the merged tree.
  std::string mount(const PreparedStack& stack, const std::string& name,
                    Access access = Access::read_write) {
    const MountPoint at = place(name);
    const auto record = driver_->mount(stack, at, {.access = access});
    EXPECT_OK(record);
    if (record) mounted_.push_back(*record);
    return at.target;
  }
  static std::string text(const std::string& path) {
    return sys::read_file(AT_FDCWD, path).value_or("(unreadable)");
  }
  static std::set<std::string> names_in(const std::string& path) {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(path)) names.insert(entry.path().filename());
    return names;
  }
  static std::string tar_of(const std::string& name, const std::string& content) {
    return TarWriter().file(name, content).finish();
  }
  /// What `keep` does not need and no mount uses, as `layer gc` finds it; removed unless `dry_run`.
  Result<Freed> collect(const std::vector<Layer>& keep, bool dry_run) {
    Inventory inventory;
    inventory.add_image("kept", keep);
    NX_TRY(const auto things, driver_->list());
    inventory.add_driver(GetParam().driver, things);
    inventory.finish();
    if (dry_run) return find_garbage(inventory);
    return remove_things(inventory, inventory.garbage(), std::span(&driver_, 1));
  }
  std::set<std::string> named(const std::vector<std::string>& keys) {
    std::set<std::string> names;
    for (const std::string& key : keys) names.insert(GetParam().driver + "/" + key);
    return names;
  }
  std::set<std::string> prepared_keys() {
    std::set<std::string> keys;
    const auto all = driver_->list();
    EXPECT_OK(all);
    if (all)
      for (const Prepared& one : *all) keys.insert(one.key);
    return keys;
  }

  LayerScratch scratch_;
  std::unique_ptr<OciLayout> layout_;
  std::unique_ptr<image::Store> store_;
  std::unique_ptr<Driver> driver_;
  std::vector<MountRecord> mounted_;
  int unpacked_ = 0;
};

}  // namespace nexcage::layerfs
