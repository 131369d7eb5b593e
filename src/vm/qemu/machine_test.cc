#include "nexcage/vm/qemu/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "result_matchers.h"

namespace nexcage::vm::qemu {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Machine small() {
  Machine machine;
  machine.name = "c1";
  machine.kernel = "/k/vmlinux";
  machine.initrd = 12;
  machine.monitor = 11;
  machine.agent = 10;
  machine.tsc_khz = 2'600'000;
  return machine;
}

/// What stands behind each of these options.
std::vector<std::string> values_of(const std::vector<std::string>& argv, std::string_view option) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i + 1 < argv.size(); ++i)
    if (argv[i] == option) out.push_back(argv[i + 1]);
  return out;
}

TEST(Argv, OfASmallMachine) {
  EXPECT_THAT(plan_argv("/usr/bin/qemu", small()),
              ElementsAre("/usr/bin/qemu", "-name", "nexcage-c1", "-nodefaults", "-no-user-config",
                          "-nographic", "-no-reboot", "-sandbox",
                          "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
                          "-machine", "microvm,pit=on,pic=on,rtc=on,isa-serial=on", "-accel",
                          "tcg,tb-size=64", "-cpu", "max,-erms,-fsrm", "-m", "size=512M", "-smp",
                          "1", "-global", "virtio-mmio.force-legacy=false", "-kernel", "/k/vmlinux",
                          "-initrd", "/proc/self/fd/12", "-append",
                          "console=ttyS0 panic=-1 quiet cryptomgr.notests no_timer_check "
                          "tsc_early_khz=2600000 lpj=5200000",
                          "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
                          "-chardev", "socket,id=monitor,fd=11", "-mon",
                          "chardev=monitor,mode=control", "-chardev", "socket,id=agent,fd=10",
                          "-device", "virtio-serial-device,max_ports=2", "-device",
                          "virtserialport,chardev=agent,name=nexcage.0"));
}

TEST(Argv, ClockParametersAreForEmulationOnly) {
  Machine machine = small();
  machine.accelerator = Accelerator::kvm;
  EXPECT_THAT(kernel_parameters(machine),
              ElementsAre("console=ttyS0", "panic=-1", "quiet", "cryptomgr.notests"));
  EXPECT_THAT(values_of(plan_argv("q", machine), "-cpu"), ElementsAre("host"));
}

TEST(Argv, ParametersOfTheSpecComeLast) {
  Machine machine = small();
  machine.parameters = {"debug", "panic=5"};
  EXPECT_THAT(values_of(plan_argv("q", machine), "-append").front(),
              ::testing::EndsWith("lpj=5200000 debug panic=5"));
  machine.arguments = {"-rtc", "base=utc"};
  const auto argv = plan_argv("q", machine);
  EXPECT_EQ(argv[argv.size() - 2], "-rtc");
}

TEST(Argv, EmulationTranslatesWithinALimit) {
  Machine machine = small();
  machine.accelerator = Accelerator::tcg;
  EXPECT_THAT(values_of(plan_argv("q", machine), "-accel"), ElementsAre("tcg,tb-size=64"));
  machine.accelerator = Accelerator::kvm;
  EXPECT_THAT(values_of(plan_argv("q", machine), "-accel"), ElementsAre("kvm"));
}

TEST(Argv, ADiskIsADescriptorAndItsFormatIsSaid) {
  Machine machine = small();
  machine.disks = {{.fd = 20, .serial = "d0"},
                   {.fd = 21, .serial = "d1", .qcow2 = true, .read_only = false},
                   {.fd = 22, .serial = "d2", .read_only = false, .device = true}};
  const auto argv = plan_argv("q", machine);
  EXPECT_THAT(values_of(argv, "-add-fd"), ElementsAre("fd=20,set=1", "fd=21,set=2", "fd=22,set=3"));
  const auto nodes = values_of(argv, "-blockdev");
  ASSERT_EQ(nodes.size(), 3u);
  const auto first_parsed = json::parse(nodes[0]);
  ASSERT_OK(first_parsed);
  const json::Value& first = *first_parsed;
  EXPECT_EQ(first.text("driver"), "raw");
  EXPECT_EQ(*first.find("read-only")->if_bool(), true);
  EXPECT_EQ(first.find("file")->text("filename"), "/dev/fdset/1");
  const auto second_parsed = json::parse(nodes[1]);
  ASSERT_OK(second_parsed);
  const json::Value& second = *second_parsed;
  EXPECT_EQ(second.text("driver"), "qcow2");
  EXPECT_EQ(*second.find("read-only")->if_bool(), false);
  EXPECT_EQ(second.find("file")->text("driver"), "file");
  EXPECT_THAT(nodes[2], HasSubstr(R"("driver":"host_device")"));
  EXPECT_THAT(values_of(argv, "-device"), Contains("virtio-blk-device,drive=disk1,serial=d1"));
}

TEST(Argv, AThrottledDiskGoesThroughAFilter) {
  Machine machine = small();
  machine.disks = {{.fd = 20, .serial = "d0", .throttle = {.write_bytes = 1000}}};
  const auto argv = plan_argv("q", machine);
  EXPECT_THAT(values_of(argv, "-object"), Contains(HasSubstr("\"bps-write\":1000")));
  EXPECT_THAT(values_of(argv, "-device"), Contains("virtio-blk-device,drive=slow0,serial=d0"));
}

// QEMU refuses a filter that could be written before a disk that cannot.
TEST(Argv, AThrottledDiskIsAsReadOnlyAsItIs) {
  for (const bool read_only : {false, true}) {
    Machine machine = small();
    machine.disks = {
        {.fd = 20, .serial = "d0", .read_only = read_only, .throttle = {.read_bytes = 1000}}};
    EXPECT_THAT(
        values_of(plan_argv("q", machine), "-blockdev"),
        Contains(AllOf(HasSubstr("\"slow0\""),
                       HasSubstr(read_only ? "\"read-only\":true" : "\"read-only\":false"))));
  }
}

TEST(Argv, SharesNeedMemoryThatOthersMap) {
  Machine machine = small();
  machine.shares = {{.fd = 30, .tag = "s0"}};
  const auto argv = plan_argv("q", machine);
  EXPECT_THAT(values_of(argv, "-machine").front(), HasSubstr("memory-backend=mem"));
  EXPECT_THAT(values_of(argv, "-object"), Contains(HasSubstr("memory-backend-memfd")));
  EXPECT_THAT(values_of(argv, "-device"), Contains("vhost-user-fs-device,chardev=share0,tag=s0"));
}

TEST(Argv, OnPciDevicesHaveOtherNames) {
  Machine machine = small();
  machine.board = Board::q35;
  machine.nics = {{.tap = 40, .mac = "02:00:00:00:00:01"}};
  const auto argv = plan_argv("q", machine);
  EXPECT_THAT(values_of(argv, "-global"), Not(Contains(HasSubstr("virtio-mmio"))));
  EXPECT_THAT(values_of(argv, "-device"),
              Contains("virtio-net-pci,netdev=net0,mac=02:00:00:00:00:01,romfile="));
}

TEST(Argv, AUserNetworkIsReachedByItsPortsAndReachesNothing) {
  Machine machine = small();
  machine.nics = {{.tap = -1,
                   .mac = "02:00:00:00:00:01",
                   .forwards = {{.outer = 20000, .inner = 80}, {.outer = 20001, .inner = 443}}}};
  const auto argv = plan_argv("q", machine);
  EXPECT_THAT(values_of(argv, "-netdev"),
              ElementsAre("user,id=net0,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:20000-10.0.2.15:"
                          "80,hostfwd=tcp:127.0.0.1:20001-10.0.2.15:443"));
  EXPECT_THAT(values_of(argv, "-device"),
              Contains("virtio-net-device,netdev=net0,mac=02:00:00:00:00:01"));
}

}  // namespace
}  // namespace nexcage::vm::qemu
