#include "nexcage/backends/vm/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/mount.h>

#include <fstream>
#include <optional>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::backends::vm {
namespace {

using ::testing::HasSubstr;

class VmPlan : public ::testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create("/tmp", "vmplan");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
    std::ofstream(dir_->path() + "/file") << "x";
  }
  CreateJob job() const {
    return {.id = "c1",
            .spec = spec_,
            .bundle = dir_->path(),
            .rootfs = dir_->path(),
            .state_dir = dir_->path(),
            .console_socket = {},
            .restore = {},
            .config_file = {},
            .pid_file = {}};
  }
  Result<> mount(const std::string& source, std::vector<std::string> options) {
    spec_.mounts.clear();
    oci::Mount& one = spec_.mounts.emplace_back();
    one.destination = "/data";
    one.type = "bind";
    one.source = source;
    one.options = std::move(options);
    return plan_mounts(job(), plan_);
  }
  std::optional<sys::TempDir> dir_;
  oci::Spec spec_ = oci::default_spec();
  MachinePlan plan_;
};

TEST_F(VmPlan, AMachineWithAWritableBindIsShutDown) {
  ASSERT_OK(mount(dir_->path(), {"rbind", "ro"}));
  EXPECT_FALSE(plan_.launch.persistent);
  EXPECT_TRUE(plan_.launch.shares.back().read_only);
  ASSERT_OK(mount(dir_->path(), {"rbind", "rprivate", "rw"}));
  EXPECT_TRUE(plan_.launch.persistent);
}

TEST_F(VmPlan, OptionsThatNoBindIntoAMachineHasAreRefused) {
  for (const char* word : {"shared", "rslave", "unbindable", "dirsync", "sync", "size=1m"}) {
    SCOPED_TRACE(word);
    EXPECT_ERROR(mount(dir_->path(), {"bind", word}), Errc::Unsupported, HasSubstr("/data"));
  }
}

TEST_F(VmPlan, ACopiedFileKeepsTheAttributesOfItsMount) {
  ASSERT_OK(mount(dir_->path() + "/file", {"bind", "ro", "noexec"}));
  const auto& file = std::get<protocol::File>(plan_.prepare.sources.back());
  EXPECT_EQ(file.attributes, std::uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC});
}

TEST_F(VmPlan, AReadOnlyRootIsSoOnTheHost) {
  spec_.root = oci::Root{.path = "rootfs", .readonly = true};
  ASSERT_OK(plan_root(job(), plan_));
  ASSERT_EQ(plan_.launch.shares.size(), 1u);
  EXPECT_TRUE(plan_.launch.shares[0].read_only);
  EXPECT_FALSE(plan_.launch.persistent);
  const auto& root = std::get<protocol::Root>(plan_.prepare.sources[0]);
  ASSERT_EQ(root.lowers.size(), 1u);
  EXPECT_EQ(root.upper.at(0).fstype, "tmpfs");
}

TEST_F(VmPlan, AWritableRootIsTheBundlesDirectory) {
  spec_.root = oci::Root{.path = "rootfs", .readonly = false};
  ASSERT_OK(plan_root(job(), plan_));
  EXPECT_FALSE(plan_.launch.shares.at(0).read_only);
  EXPECT_TRUE(plan_.launch.persistent);
  EXPECT_TRUE(std::get<protocol::Root>(plan_.prepare.sources[0]).lowers.empty());
}

TEST_F(VmPlan, ManyDevicesNeedTheBoardWithManyPlaces) {
  for (std::size_t i = 0; i < 15; ++i)
    share(plan_, {.source = "/s" + std::to_string(i), .tag = {}});
  ASSERT_OK(settle_board(plan_));
  EXPECT_EQ(plan_.launch.machine.board, qemu::Board::microvm);
  for (std::size_t i = 15; i < 22; ++i)
    share(plan_, {.source = "/s" + std::to_string(i), .tag = {}});
  ASSERT_OK(settle_board(plan_));
  EXPECT_EQ(plan_.launch.machine.board, qemu::Board::q35);
  for (std::size_t i = 22; i < 40; ++i)
    share(plan_, {.source = "/s" + std::to_string(i), .tag = {}});
  EXPECT_ERROR(settle_board(plan_), Errc::Unsupported, HasSubstr("42 devices"));
}

}  // namespace
}  // namespace nexcage::backends::vm
