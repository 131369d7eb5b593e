#include "nexcage/network/plan.h"

#include "result_matchers.h"

namespace nexcage::network {
namespace {

using testing::HasSubstr;

InterfaceAddress at(const char* interface, const char* prefix) {
  return {interface, *parse_prefix(prefix)};
}

Route route(const char* destination, const char* gateway, const char* interface) {
  return {*parse_prefix(destination), *parse_address(gateway), interface};
}

Wanted wanted(const char* text) {
  auto parsed = parse_network(text);
  return parsed ? *parsed : Wanted{};
}

std::string plugins_of(const Result<NetworkList>& list) {
  if (!list) return list.error().message();
  return json::dump(to_json(*list));
}

TEST(Routes, are_read_from_the_kernels_table) {
  const auto routes = parse_routes(
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
      "eth0\t00000000\t010AA8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
      "eth0\t000AA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
      "broken line\n");
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(routes[0].destination.str(), "0.0.0.0/0");
  EXPECT_EQ(routes[0].gateway.str(), "192.168.10.1");
  EXPECT_EQ(routes[1].destination.str(), "192.168.10.0/24");
  EXPECT_EQ(routes[1].interface, "eth0");
}

TEST(Subnet, avoids_what_the_host_uses) {
  HostFacts host;
  EXPECT_EQ(choose_subnet(host, "")->str(), "10.112.0.0/22");
  host.addresses = {at("eth0", "10.112.1.7/24"), at("eth0", "fe80::1/64")};
  EXPECT_EQ(choose_subnet(host, "")->str(), "10.113.0.0/22");
  host.routes = {route("0.0.0.0/0", "10.112.1.1", "eth0"), route("10.0.0.0/8", "0.0.0.0", "tun0")};
  EXPECT_EQ(choose_subnet(host, "")->str(), "192.168.200.0/22");
  host.routes.push_back(route("192.168.0.0/16", "0.0.0.0", "tun0"));
  EXPECT_EQ(choose_subnet(host, "")->str(), "172.16.0.0/22");
  host.routes.push_back(route("172.16.0.0/12", "0.0.0.0", "tun0"));
  EXPECT_ERROR(choose_subnet(host, ""), Errc::ConfigError, HasSubstr("in use"));
}

TEST(Subnet, of_a_bridge_that_exists_stays) {
  HostFacts host;
  host.addresses = {at("nexcage0", "10.120.0.1/22"), at("nexcage0", "fe80::1/64")};
  EXPECT_TRUE(is_settled(host));
  EXPECT_EQ(choose_subnet(host, "")->str(), "10.120.0.0/22");
  EXPECT_EQ(choose_subnet(host, "10.120.0.0/22")->str(), "10.120.0.0/22");
  EXPECT_ERROR(choose_subnet(host, "10.121.0.0/22"), Errc::ConfigError, HasSubstr("nexcage0 has"));
}

TEST(Subnet, that_is_configured_must_be_one) {
  for (const char* bad : {"x", "10.0.0.1", "10.0.0.1/24", "10.0.0.0/31", "fd00::/64"})
    EXPECT_ERROR(choose_subnet({}, bad), Errc::ConfigError, HasSubstr("subnet"));
}

TEST(OwnBridge, has_addresses_masquerading_and_a_firewall) {
  EXPECT_EQ(
      plugins_of(plan_own_bridge(wanted("bridge"), {}, {})),
      R"({"cniVersion":"1.0.0","name":"nexcage","plugins":[{"type":"bridge","bridge":"nexcage0",)"
      R"("isGateway":true,"ipMasq":true,"hairpinMode":true,"ipam":{"type":"host-local",)"
      R"("dataDir":"/run/cni/networks","ranges":[[{"subnet":"10.112.0.0/22"}]],)"
      R"("routes":[{"dst":"0.0.0.0/0"}]},"capabilities":{"ips":true,"mac":true}},)"
      R"({"type":"firewall"}]})");
  Wanted publishing = wanted("bridge");
  publishing.ports.push_back({"", 80, 80, Protocol::tcp});
  EXPECT_THAT(plugins_of(plan_own_bridge(publishing, {}, {})),
              HasSubstr(R"({"type":"portmap","capabilities":{"portMappings":true}})"));
}

TEST(OwnBridge, gives_only_addresses_of_its_network) {
  EXPECT_OK(plan_own_bridge(wanted("bridge,ip=10.112.0.9"), {}, {}));
  for (const char* bad : {"bridge,ip=10.0.0.1", "bridge,ip=10.112.0.0", "bridge,ip=10.112.0.1/22",
                          "bridge,ip=fd00::1", "bridge,vlan=3", "bridge:nexcage0,gw=10.112.0.1"})
    EXPECT_ERROR(plan_own_bridge(wanted(bad), {}, {}), Errc::InvalidSpec, testing::_);
}

TEST(OtherBridge, without_an_address_gets_none) {
  EXPECT_EQ(plugins_of(plan_other_bridge(wanted("bridge:vmbr0,vlan=5"), {})),
            R"({"cniVersion":"1.0.0","name":"bridge-vmbr0","plugins":[{"type":"bridge",)"
            R"("bridge":"vmbr0","vlan":5,"ipam":{},"capabilities":{"mac":true}}]})");
}

TEST(OtherBridge, finds_length_and_gateway) {
  HostFacts host;
  host.addresses = {at("vmbr0", "192.168.1.10/24"), at("lxcbr0", "10.0.3.1/24")};
  host.routes = {route("0.0.0.0/0", "192.168.1.1", "vmbr0")};
  EXPECT_THAT(plugins_of(plan_other_bridge(wanted("bridge:vmbr0,ip=192.168.1.50"), host)),
              HasSubstr(R"({"address":"192.168.1.50/24","gateway":"192.168.1.1"})"));
  // The bridge itself is the way out where no default route goes through it.
  EXPECT_THAT(plugins_of(plan_other_bridge(wanted("bridge:lxcbr0,ip=10.0.3.9"), host)),
              HasSubstr(R"({"address":"10.0.3.9/24","gateway":"10.0.3.1"})"));
  EXPECT_THAT(
      plugins_of(plan_other_bridge(wanted("bridge:lxcbr0,ip=10.0.3.9/24,gw=10.0.3.254"), host)),
      HasSubstr(R"("gateway":"10.0.3.254")"));
  // The host's addresses are not in the tagged network.
  EXPECT_THAT(plugins_of(plan_other_bridge(wanted("bridge:vmbr0,ip=192.168.1.5/24,vlan=2"), host)),
              Not(HasSubstr("gateway")));
  EXPECT_ERROR(plan_other_bridge(wanted("bridge:vmbr0,ip=10.9.9.9"), host), Errc::InvalidSpec,
               HasSubstr("ip=ADDRESS/LENGTH"));
  EXPECT_ERROR(plan_other_bridge(wanted("bridge:vmbr0,gw=192.168.1.1"), host), Errc::InvalidSpec,
               HasSubstr("needs ip="));
}

TEST(OtherBridge, publishes_only_with_an_address) {
  Wanted publishing = wanted("bridge:vmbr0");
  publishing.ports.push_back({"", 80, 80, Protocol::tcp});
  EXPECT_ERROR(plan_other_bridge(publishing, {}), Errc::InvalidSpec, HasSubstr("--publish"));
  publishing.ip = "192.168.1.5/24";
  EXPECT_THAT(plugins_of(plan_other_bridge(publishing, {})), HasSubstr("portmap"));
}

}  // namespace
}  // namespace nexcage::network
