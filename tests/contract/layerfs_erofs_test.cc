// What only the LayerFS driver erofs has.
#include <algorithm>
#include <chrono>
#include <fstream>

#include "layerfs_driver_fixture.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs {
namespace {

class ErofsDriver : public LayerfsDriver {
 protected:
  /// Says what the probe found, as if it had.
  void pretend(bool loops, bool small_blocks) {
    const std::string file = scratch_ / "layers/erofs/.probe.json";
    auto value = json::parse(text(file));
    ASSERT_OK(value);
    value->if_object()->set("loops", loops);
    value->if_object()->set("small_blocks", small_blocks);
    ASSERT_OK(sys::write_file_atomic(file, json::dump(*value), 0600, sys::Durable::no));
  }
  std::size_t shared_mounts() const {
    const auto table = sys::read_mountinfo();
    EXPECT_OK(table);
    if (!table) return 0;
    return static_cast<std::size_t>(std::ranges::count_if(*table, [&](const sys::MountInfo& one) {
      return one.mount_point.starts_with(scratch_ / "layers/erofs/.mounts/");
    }));
  }
};

TEST_P(ErofsDriver, LoopDevicesServeOlderKernelsAndGo) {
  TarWriter below, above;
  below.file("f", "below").file("g", std::string(100'000, 'g'));
  above.file("f", "above");
  const image::Image image = layout_->add("a", {below.finish(), above.finish()});
  pretend(true, GetParam().form != ConvertForm::full);
  const PreparedStack stack = prepare(image);
  const MountPoint at = place("m");
  const auto record = driver_->mount(stack, at, {});
  if (!record && record.error().code() == Errc::Unsupported)
    GTEST_SKIP() << "no loop devices: " << record.error().message();
  ASSERT_OK(record);
  EXPECT_THAT(record->method, HasSubstr("loop devices"));
  EXPECT_EQ(text(at.target + "/f"), "above");
  EXPECT_EQ(text(at.target + "/g"), std::string(100'000, 'g'));
  EXPECT_OK(driver_->unmount(*record));
}

TEST_P(ErofsDriver, OldKernelsGetTheDataInTheImage) {
  pretend(false, false);
  if (GetParam().form != ConvertForm::full)
    EXPECT_ERROR(driver_->prepare(*store_, layout_->add("a", {tar_of("f", "x")})),
                 Errc::Unsupported, HasSubstr("512"));
  Options any = options([] {});
  any.form.reset();
  driver_ = open_driver(any);
  const PreparedStack stack = prepare(layout_->add("b", {tar_of("f", "y")}));
  ASSERT_EQ(stack.keys.size(), 1u);
  EXPECT_EQ(stack.keys[0].substr(0, 2), "f-");
  EXPECT_EQ(text(mount(stack, "b") + "/f"), "y");
}

TEST_P(ErofsDriver, LastMountTakesTheSharedOneAlong) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x"), tar_of("g", "y")}));
  const std::size_t each = GetParam().form == ConvertForm::index ? 2 : 1;
  const MountPoint one = place("one"), two = place("two");
  const auto first = driver_->mount(stack, one, {}), second = driver_->mount(stack, two, {});
  ASSERT_OK(first);
  ASSERT_OK(second);
  EXPECT_EQ(shared_mounts(), each);
  EXPECT_OK(driver_->unmount(*first));
  EXPECT_EQ(shared_mounts(), each);
  EXPECT_OK(driver_->unmount(*second));
  EXPECT_EQ(shared_mounts(), 0u);
  EXPECT_THAT(names_in(scratch_ / "layers/erofs/.refs"), ::testing::IsEmpty());
  EXPECT_EQ(names_in(scratch_ / "layers/erofs/.mounts"), std::set<std::string>{});
}

TEST_P(ErofsDriver, ImagesDoNotWaitForEachOther) {
  const PreparedStack one = prepare(layout_->add("a", {tar_of("f", "x")}));
  const PreparedStack other = prepare(layout_->add("b", {tar_of("f", "y")}));
  const std::string mounts = scratch_ / "layers/erofs/.mounts";
  mount(one, "first");
  ASSERT_EQ(names_in(mounts).size(), 1u);
  const auto dir = sys::open_at(AT_FDCWD, mounts, O_RDONLY | O_DIRECTORY);
  ASSERT_OK(dir);
  // Somebody is busy with the mounts of the first image.
  const auto held =
      sys::FileLock::acquire(dir->get(), *names_in(mounts).begin(), sys::FileLock::Kind::exclusive,
                             1000, sys::FileLock::On::directory);
  ASSERT_OK(held);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(text(mount(other, "second") + "/f"), "y");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
}

TEST_P(ErofsDriver, WhatACrashLeftAttachedGoesWithTheNextRemoval) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x")}));
  const MountPoint at = place("m");
  ASSERT_OK(driver_->mount(stack, at, {}));
  ASSERT_OK(sys::unmount(at.target));  // and nobody tells the driver
  EXPECT_GT(shared_mounts(), 0u);
  ASSERT_OK(collect({}, false));
  EXPECT_EQ(shared_mounts(), 0u);
  EXPECT_THAT(prepared_keys(), ::testing::IsEmpty());
}

TEST_P(ErofsDriver, VerifyFindsAChangedByte) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x")}));
  for (const Result<>& result : driver_->verify(stack.keys)) EXPECT_OK(result);
  scratch_.allow_removal();
  const std::string key = stack.keys.back();
  const std::string file =
      scratch_ / ("layers/erofs/" + key + (key.starts_with("t-") ? "/tar" : "/index"));
  std::string bytes = text(file);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(file, std::ios::binary) << bytes;
  const auto results = driver_->verify(stack.keys);
  EXPECT_ERROR(results.back(), Errc::LayerError, HasSubstr(key));
}

const Way kErofsWays[] = {
    {"erofs", ConvertForm::merged}, {"erofs", ConvertForm::index}, {"erofs", ConvertForm::full}};

INSTANTIATE_TEST_SUITE_P(Drivers, ErofsDriver, ::testing::ValuesIn(kErofsWays), name_of);

}  // namespace
}  // namespace nexcage::layerfs
