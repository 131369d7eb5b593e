// Raw images in a scratch directory, for one test.
#pragma once

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cstdint>
#include <memory>
#include <string>

#include "loop_fs.h"
#include "nexcage/storage/raw/image.h"

namespace nexcage::testing {

class RawImageTest : public ::testing::TestWithParam<storage::raw::FileSystem> {
 protected:
  static constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

  void SetUp() override {
    NX_NEEDS_FS(type());
    scratch_ = std::make_unique<ScratchDir>();
  }
  std::string type() const { return std::string(storage::raw::file_system_name(GetParam())); }
  std::string at(const std::string& name) const { return *scratch_ / name; }

  storage::raw::ImageSpec spec(std::uint64_t bytes = 320 * kMiB) const {
    storage::raw::ImageSpec out;
    out.file_system = GetParam();
    out.bytes = bytes;
    return out;
  }
  /// {name}, mounted at {name}.mnt.
  std::unique_ptr<MountedAt> mount(const std::string& name, std::uint64_t attributes = 0) const {
    auto mount = storage::raw::mount_image(at(name), GetParam(), attributes);
    EXPECT_OK(mount);
    if (!mount) return nullptr;
    return std::make_unique<MountedAt>(*mount, at(name + ".mnt"));
  }
  /// What the file system's own checker says: nothing is wrong.
  void expect_sound(const std::string& name) const {
    if (GetParam() == storage::raw::FileSystem::ext4)
      run_ok({"e2fsck", "-f", "-n", at(name)});
    else
      run_ok({"xfs_repair", "-n", "-f", at(name)});
  }

  std::unique_ptr<ScratchDir> scratch_;
};

inline std::string name_of_type(
    const ::testing::TestParamInfo<storage::raw::FileSystem>& parameter) {
  return std::string(storage::raw::file_system_name(parameter.param));
}

#define NX_BOTH_FILE_SYSTEMS(Suite)                                                     \
  INSTANTIATE_TEST_SUITE_P(Both, Suite,                                                 \
                           ::testing::Values(::nexcage::storage::raw::FileSystem::ext4, \
                                             ::nexcage::storage::raw::FileSystem::xfs), \
                           ::nexcage::testing::name_of_type)

}  // namespace nexcage::testing
