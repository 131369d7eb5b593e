#include "nexcage/network/result.h"

#include "result_matchers.h"

namespace nexcage::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<Outcome> outcome_of(const std::string& text) {
  NX_TRY(const json::Value value, parse_answer(text));
  return parse_result(value);
}

TEST(PluginResult, is_read_for_what_the_container_has) {
  const auto outcome = outcome_of(R"({"cniVersion": "1.0.0",
    "interfaces": [{"name": "br0", "mac": "02:00:00:00:00:01"},
                   {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/x"}],
    "ips": [{"address": "10.9.0.1/24", "interface": 0},
            {"address": "10.1.0.5/16", "gateway": "10.1.0.1", "interface": 1},
            {"address": "fd00::5/64"}],
    "dns": {"nameservers": ["10.1.0.1"], "search": ["a.example"], "options": ["ndots:2"]}})");
  ASSERT_OK(outcome);
  ASSERT_EQ(outcome->addresses.size(), 2U);
  EXPECT_EQ(outcome->addresses[0].str(), "10.1.0.5/16");
  EXPECT_EQ(outcome->addresses[1].str(), "fd00::5/64");
  EXPECT_EQ(outcome->gateway, "10.1.0.1");
  EXPECT_EQ(outcome->mac, "02:00:00:00:00:02");
  EXPECT_THAT(outcome->dns.servers, ElementsAre("10.1.0.1"));
  EXPECT_THAT(outcome->dns.search, ElementsAre("a.example"));
}

TEST(PluginResult, of_old_versions_has_ip4_and_ip6) {
  const auto outcome = outcome_of(
      R"({"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1"},
          "ip6": {"ip": "fd00::5/64"}})");
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->addresses.size(), 2U);
  EXPECT_EQ(outcome->gateway, "10.1.0.1");
}

TEST(PluginResult, of_a_network_without_addresses_is_empty) {
  const auto outcome = outcome_of(R"({"cniVersion": "1.0.0", "dns": {}})");
  ASSERT_OK(outcome);
  EXPECT_TRUE(outcome->addresses.empty());
}

TEST(PluginResult, is_not_believed) {
  for (const char* bad :
       {"", "  ", "[]", "null", "{", R"({"ips": [{"address": "10.0.0.1"}]})", R"({"ips": [{}]})",
        R"({"ips": [1]})", R"({"ips": [{"address": "10.0.0.1/8", "gateway": "x"}]})",
        R"({"dns": {"nameservers": ["1.1.1.1\nnameserver 6.6.6.6"]}})",
        R"({"dns": {"nameservers": ["dns.example"]}})", R"({"dns": {"search": ["a b"]}})",
        R"({"dns": {"options": [5]}})"})
    EXPECT_ERROR(outcome_of(bad), Errc::InvalidJson, testing::_);
  EXPECT_ERROR(outcome_of("{\"a\":\"" + std::string(2 << 20, 'x') + "\"}"), Errc::InvalidJson,
               testing::_);
  std::string many;
  for (int i = 0; i < 65; ++i)
    many += std::string(i > 0 ? "," : "") + R"({"address":"10.0.0.1/8"})";
  EXPECT_ERROR(outcome_of(R"({"ips": [)" + many + "]}"), Errc::InvalidJson, HasSubstr("too many"));
  // An index that leads nowhere, members of other types: not the container's business.
  EXPECT_OK(outcome_of(R"({"ips": [{"address": "10.0.0.1/8", "interface": 7}], "interfaces": 1,
                           "dns": [], "routes": "x"})"));
}

TEST(PluginError, is_what_the_plugin_says) {
  const Error config = plugin_error(
      1, R"({"code": 7, "msg": "Invalid\nConfiguration", "details": "too small"})", "");
  EXPECT_EQ(config.code(), Errc::ConfigError);
  EXPECT_EQ(config.message(), "Invalid Configuration: too small");
  const Error other = plugin_error(1, R"({"code": 999, "msg": "no room"})", "noise");
  EXPECT_EQ(other.code(), Errc::RuntimeNotAvailable);
  EXPECT_EQ(other.message(), "no room");
  EXPECT_EQ(plugin_error(2, "", "panic: it broke\n").message(), "exit status 2: panic: it broke");
  EXPECT_EQ(plugin_error(137, "", "").message(), "exit status 137");
  EXPECT_THAT(plugin_error(1, R"({"code": 7, "msg": ""})", "").message(), HasSubstr("code"));
  EXPECT_LT(plugin_error(1, "", std::string(1 << 20, 'x')).message().size(), 1000U);
}

}  // namespace
}  // namespace nexcage::network
