#include "nexcage/layerfs/drivers/overlay_mount.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::layerfs::overlay {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// Each way of telling the kernel the directories, on the same stack of `count` layers.
class OverlayMount : public ::testing::TestWithParam<MountMethod> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: mounts";
    auto scratch = sys::TempDir::create(fs::current_path(), "overlay-mount");
    ASSERT_OK(scratch);
    scratch_ = std::make_unique<sys::TempDir>(std::move(*scratch));
    for (const char* name : {"upper", "work", "target"}) fs::create_directory(path(name));
  }
  void TearDown() override {
    if (scratch_) EXPECT_OK(sys::unmount(path("target")));
  }
  std::string path(const std::string& name) const { return scratch_->path() + "/" + name; }
  UniqueFd open_directory(const std::string& name) {
    auto fd = sys::open_at(AT_FDCWD, path(name), O_PATH | O_DIRECTORY);
    EXPECT_OK(fd);
    return fd ? std::move(*fd) : UniqueFd();
  }
  OverlaySpec make_spec(int count, bool writable) {
    OverlaySpec spec;
    for (int i = count - 1; i >= 0; --i) {
      const std::string name = "layer" + std::to_string(i);
      fs::create_directory(path(name));
      std::ofstream(path(name + "/n" + std::to_string(i))) << i;
      std::ofstream(path(name + "/top")) << i;
      spec.lowers.push_back(open_directory(name));
    }
    if (writable) {
      spec.upper = open_directory("upper");
      spec.work = open_directory("work");
    }
    return spec;
  }
  std::string text(const std::string& name) {
    return sys::read_file(AT_FDCWD, path("target/" + name)).value_or("(unreadable)");
  }

  std::unique_ptr<sys::TempDir> scratch_;
};

TEST_P(OverlayMount, MergesInOrder) {
  const auto mounted = mount_overlay_by(GetParam(), make_spec(200, true), path("target"));
  if (!mounted && GetParam() == MountMethod::descriptors && mounted.error().sys_errno() == EINVAL)
    GTEST_SKIP() << "this kernel takes no layers by descriptor";
  ASSERT_OK(mounted);
  EXPECT_EQ(text("top"), "199");
  EXPECT_EQ(text("n0") + text("n100"), "0100");
  std::ifstream table("/proc/self/mountinfo");
  std::string line;
  while (std::getline(table, line) && line.find(path("target")) == std::string::npos) {
  }
  EXPECT_NE(line.find("volatile"), std::string::npos);  // newer kernels say fsync=volatile
  std::ofstream(path("target/new")) << "x";
  EXPECT_EQ(sys::read_file(AT_FDCWD, path("upper/new")).value_or("?"), "x");
}

TEST_P(OverlayMount, WithoutUpperIsReadOnly) {
  const auto mounted = mount_overlay_by(GetParam(), make_spec(2, false), path("target"));
  if (!mounted && GetParam() == MountMethod::descriptors && mounted.error().sys_errno() == EINVAL)
    GTEST_SKIP() << "this kernel takes no layers by descriptor";
  ASSERT_OK(mounted);
  EXPECT_EQ(text("top"), "1");
  EXPECT_EQ(access(path("target/top").c_str(), W_OK), -1);
  EXPECT_EQ(errno, EROFS);
}

INSTANTIATE_TEST_SUITE_P(Methods, OverlayMount,
                         ::testing::Values(MountMethod::descriptors, MountMethod::strings,
                                           MountMethod::legacy));

using OverlayMountLimits = OverlayMount;

TEST_P(OverlayMountLimits, MoreLayersThanTheKernelTakesAreRefused) {
  OverlaySpec spec;
  spec.lowers.resize(kMaxLayers + 1);
  EXPECT_ERROR(mount_overlay(spec, path("target")), Errc::LayerError, HasSubstr("501 layers"));
}

TEST_P(OverlayMountLimits, MissingTargetIsSaidSo) {
  EXPECT_ERROR(mount_overlay(make_spec(2, true), path("missing")), Errc::LayerError,
               HasSubstr("missing"));
}

TEST_P(OverlayMountLimits, DetachedMountsAreAttachedForTheMoment) {
  OverlaySpec spec = make_spec(3, false);
  for (UniqueFd* lower : {&spec.lowers.front(), &spec.lowers.back()}) {
    auto mount = sys::clone_mount(lower->get(), "", sys::Recursive::no);
    ASSERT_OK(mount);
    *lower = std::move(*mount);
    spec.detached.push_back(lower->get());
  }
  auto tmpfs = make_tmpfs(0);
  ASSERT_OK(tmpfs);
  spec.upper_mount = std::move(*tmpfs);
  for (const char* name : {"u", "w"}) ASSERT_EQ(mkdirat(spec.upper_mount.get(), name, 0700), 0);
  for (auto [fd, name] : {std::pair{&spec.upper, "u"}, std::pair{&spec.work, "w"}}) {
    auto dir = sys::open_at(spec.upper_mount.get(), name, O_PATH | O_DIRECTORY);
    ASSERT_OK(dir);
    *fd = std::move(*dir);
  }
  ASSERT_OK(mount_overlay_attached(spec, path("target")));
  EXPECT_EQ(text("top") + text("n0") + text("n1"), "201");
  std::ofstream(path("target/new")) << "x";
  EXPECT_EQ(sys::read_file(spec.upper_mount.get(), "u/new").value_or("?"), "x");
  EXPECT_OK(sys::unmount(path("target")));
  EXPECT_TRUE(fs::is_empty(path("target")));  // nothing of what was attached stays
}

TEST_P(OverlayMountLimits, ARefusedMountLeavesNothingAttached) {
  OverlaySpec spec = make_spec(1, false);  // overlayfs wants two without an upper
  const auto refused = mount_overlay_attached(spec, path("target"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno(), EINVAL) << refused.error().message();
  std::ifstream table("/proc/self/mountinfo");
  std::string line;
  while (std::getline(table, line)) EXPECT_EQ(line.find(path("target")), std::string::npos) << line;
}

INSTANTIATE_TEST_SUITE_P(AnyMethod, OverlayMountLimits,
                         ::testing::Values(MountMethod::descriptors));

}  // namespace
}  // namespace nexcage::layerfs::overlay
