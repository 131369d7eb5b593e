#include "nexcage/vm/host/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/json/value.h"
#include "result_matchers.h"

namespace nexcage::vm::host {
namespace {

using ::testing::ElementsAre;

/// Every member differs from what it is by default, but for the descriptors that the helper makes.
Launch full() {
  Launch out;
  out.qemu = "/usr/bin/qemu";
  qemu::Machine& machine = out.machine;
  machine.name = "c1";
  machine.accelerator = qemu::Accelerator::kvm;
  machine.board = qemu::Board::q35;
  machine.memory = std::uint64_t{5} << 32;
  machine.processors = 3;
  machine.kernel = "/boot/\"k\"";
  machine.initrd = 10;
  machine.arguments = {"-rtc", "base=utc"};
  machine.parameters = {"debug"};
  machine.tsc_khz = 2'600'000;
  machine.disks = {
      {.fd = 11,
       .serial = "d0",
       .qcow2 = true,
       .read_only = false,
       .device = true,
       .throttle = {
           .read_bytes = 1, .write_bytes = 2, .read_operations = 3, .write_operations = 4}}};
  machine.nics = {
      {.tap = 12, .mac = "02:00:00:00:00:01", .forwards = {{.outer = 20000, .inner = 80}}}};
  out.forwards = {{.listener = 13, .outer = 20000}};
  out.shares = {
      {.source = "/srv", .tag = "s0", .file = true, .read_only = true, .recursive = true}};
  out.virtiofsd = "/usr/libexec/virtiofsd";
  out.dialect = Virtiofsd::rust;
  out.state_dir = "/run/nexcage/c1";
  out.cgroup_files = {"/sys/fs/cgroup/pids/c1/tasks"};
  out.terminal = true;
  out.rows = 24;
  out.columns = 80;
  out.persistent = true;
  out.boot_seconds = 7;
  out.start_seconds = 0;
  out.oom_score = -500;
  return out;
}

TEST(Launch, ComesBackWhole) {
  const auto back = launch_from_text(to_text(full()));
  ASSERT_OK(back);
  EXPECT_EQ(to_text(*back), to_text(full()));
  ASSERT_EQ(back->machine.disks.size(), 1u);
  EXPECT_TRUE(back->machine.disks[0].device);
  EXPECT_EQ(back->machine.disks[0].throttle, full().machine.disks[0].throttle);
  EXPECT_EQ(back->machine.memory, full().machine.memory);
  EXPECT_EQ(back->dialect, Virtiofsd::rust);
  EXPECT_EQ(back->oom_score, -500);
  EXPECT_THAT(back->cgroup_files, ElementsAre("/sys/fs/cgroup/pids/c1/tasks"));
}

// What the reader does not ask for, the writer must not write, and the other way round: a text with
// one member less is refused.
TEST(Launch, EveryMemberIsAskedFor) {
  const auto whole = json::parse(to_text(full()));
  ASSERT_OK(whole);
  for (const auto& [name, value] : *whole->if_object()) {
    json::Object less;
    for (const auto& [other, kept] : *whole->if_object())
      if (other != name) less.set(other, kept);
    EXPECT_ERROR(launch_from_text(json::dump(json::Value(less))), Errc::InvalidJson,
                 ::testing::HasSubstr(name));
  }
}

TEST(Launch, NoJsonIsRefused) {
  EXPECT_FALSE(launch_from_text("{").has_value());
  EXPECT_ERROR(launch_from_text("{}"), Errc::InvalidJson, ::testing::HasSubstr("qemu"));
}

}  // namespace
}  // namespace nexcage::vm::host
