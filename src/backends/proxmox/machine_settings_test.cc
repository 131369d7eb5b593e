// Interfaces and limits of virtual machines as settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "nexcage/backends/proxmox/machine.h"
#include "result_matchers.h"

namespace nexcage::backends::proxmox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr const char* kMac = "BC:24:11:00:00:01";

TEST(MachineNic, is_a_containers_setting_in_another_form) {
  const auto nic = machine_nic("net2",
                               "name=lan,bridge=vmbr1,ip=192.0.2.7/24,gw=192.0.2.1,ip6=2001:db8::7/"
                               "64,tag=5,mtu=1400,firewall=1",
                               kMac);
  ASSERT_OK(nic);
  EXPECT_EQ(nic->setting, "virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=5,mtu=1400,firewall=1");
  EXPECT_EQ(nic->inside.mac, std::string("\xbc\x24\x11\x00\x00\x01", 6));
  EXPECT_EQ(nic->inside.name, "lan");
  EXPECT_EQ(nic->inside.mtu, 1400U);
  ASSERT_EQ(nic->inside.addresses.size(), 2U);
  EXPECT_EQ(nic->inside.addresses[0].local, std::string("\xc0\x00\x02\x07", 4));
  EXPECT_EQ(nic->inside.addresses[0].prefix, 24);
  EXPECT_EQ(nic->inside.addresses[1].family, AF_INET6);
  ASSERT_EQ(nic->inside.routes.size(), 1U);
  EXPECT_EQ(nic->inside.routes[0].gateway, std::string("\xc0\x00\x02\x01", 4));
  EXPECT_FALSE(nic->inside.dhcp);
}

TEST(MachineNic, has_an_address_of_its_own_when_it_is_given_one) {
  const auto nic = machine_nic("net0", "bridge=vmbr0,ip=dhcp,hwaddr=02:00:00:00:00:09", kMac);
  ASSERT_OK(nic);
  EXPECT_EQ(nic->setting, "virtio=02:00:00:00:00:09,bridge=vmbr0");
  EXPECT_EQ(nic->inside.name, "eth0");
  EXPECT_TRUE(nic->inside.dhcp);
}

TEST(MachineNic, refuses_what_it_cannot_be) {
  const std::vector<std::pair<const char*, const char*>> refused = {
      {"bridge=vmbr0,ip=300.0.2.7/24", "no address"},
      {"bridge=vmbr0,ip=192.0.2.7", "ADDRESS/PREFIX"},
      {"bridge=vmbr0,ip=192.0.2.7/33", "ADDRESS/PREFIX"},
      {"bridge=vmbr0,gw=192.0.2.1", "gateway without an address"},
      {"bridge=vmbr0,ip=192.0.2.7/24,gw=here", "no address"},
      {"bridge=vmbr0,ip=dhcp,gw=192.0.2.1", "gateway without an address"},
      {"bridge=vmbr0,ip6=dhcp", "ip6=dhcp"},
      {"bridge=vmbr0,hwaddr=02:00:00:00:00", "no hardware address"},
      {"bridge=vmbr0,hwaddr=02:00:00:00:00:0g", "no hardware address"},
      {"bridge=vmbr0,queues=2", "queues"},
      {"bridge=vmbr0,bridge=vmbr1", "bridge"},
      {"bridge=vm\nbr0", "control character"},
  };
  for (const auto& [value, words] : refused) {
    SCOPED_TRACE(value);
    const auto nic = machine_nic("net0", value, kMac);
    ASSERT_FALSE(nic);
    EXPECT_THAT(nic.error().message(), HasSubstr(words));
  }
}

TEST(MachineLimits, are_those_that_are_named) {
  oci::Resources resources;
  resources.memory.emplace().limit = std::int64_t{512} << 20;
  resources.cpu.emplace().quota = 150'000;
  resources.cpu->period = 100'000;
  const auto limits = machine_limits(resources);
  ASSERT_OK(limits);
  EXPECT_THAT(*limits, ElementsAre(Pair("cpulimit", "1.5"), Pair("memory", "512")));
  resources.cpu->quota = -1;
  EXPECT_EQ(machine_limits(resources)->at("cpulimit"), "0");
  resources.memory->limit = 1 << 20;
  EXPECT_ERROR(machine_limits(resources), Errc::InvalidConfig, HasSubstr("64.0 MiB"));
  resources.memory->limit.reset();
  resources.pids_limit = 7;
  EXPECT_ERROR(machine_limits(resources), Errc::Unsupported, HasSubstr("/pids"));
}

}  // namespace
}  // namespace nexcage::backends::proxmox
