#include "nexcage/network/options.h"

#include "result_matchers.h"

namespace nexcage::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(NetworkOption, knows_its_forms) {
  EXPECT_EQ(parse_network("none")->mode, Mode::none);
  EXPECT_EQ(parse_network("host")->mode, Mode::host);
  EXPECT_EQ(parse_network("user")->mode, Mode::user);
  EXPECT_EQ(parse_network("bridge")->mode, Mode::bridge);
  const auto vmbr =
      parse_network("bridge:vmbr0,ip=10.0.0.5/24,mac=02:00:00:00:00:0A,vlan=7,gw=10.0.0.1");
  ASSERT_OK(vmbr);
  EXPECT_EQ(vmbr->name, "vmbr0");
  EXPECT_EQ(vmbr->ip, "10.0.0.5/24");
  EXPECT_EQ(vmbr->mac, "02:00:00:00:00:0a");
  EXPECT_EQ(vmbr->vlan, 7);
  EXPECT_EQ(vmbr->gateway, "10.0.0.1");
  EXPECT_EQ(parse_network("ns:/run/netns/a,b")->name, "/run/netns/a,b");
  EXPECT_EQ(parse_network("cni:podman,ip=10.88.0.9")->name, "podman");
}

TEST(NetworkOption, refuses_what_it_does_not_know) {
  for (const char* bad : {"", "brigde", "none:x", "host:x", "bridge:", "bridge:a/b", "cni:", "cni",
                          "bridge:sixteen-letters-", "ns:relative", "bridge:..", "bridge: "})
    EXPECT_ERROR(parse_network(bad), Errc::InvalidSpec, HasSubstr("expected one of none, host"));
  EXPECT_ERROR(parse_network("container:web"), Errc::Unsupported, HasSubstr("container"));
  for (const char* bad : {"bridge,ip=x", "bridge,mac=1", "bridge,vlan=0", "bridge,vlan=4095",
                          "bridge,gw=1.2.3", "bridge,foo=1", "bridge,", "none,ip=10.0.0.1",
                          "host,mac=02:00:00:00:00:01", "cni:a,vlan=1"})
    EXPECT_ERROR(parse_network(bad), Errc::InvalidSpec, HasSubstr("--network"));
}

std::vector<std::string> published(std::string_view text) {
  const auto ports = parse_publish(text);
  if (!ports) return {ports.error().message()};
  std::vector<std::string> texts;
  for (const Port& port : *ports) texts.push_back(to_string(port));
  return texts;
}

TEST(Publish, knows_its_forms) {
  EXPECT_THAT(published("8080:80"), ElementsAre("0.0.0.0:8080->80/tcp"));
  EXPECT_THAT(published("127.0.0.1:53:53/UDP"), ElementsAre("127.0.0.1:53->53/udp"));
  EXPECT_THAT(published("0.0.0.0:1:2/tcp"), ElementsAre("0.0.0.0:1->2/tcp"));
  EXPECT_THAT(published("[::1]:81:80"), ElementsAre("[::1]:81->80/tcp"));
  EXPECT_THAT(published("80"), ElementsAre("0.0.0.0:0->80/tcp"));
  EXPECT_THAT(published("127.0.0.1::80"), ElementsAre("127.0.0.1:0->80/tcp"));
  EXPECT_THAT(published(":80"), ElementsAre("0.0.0.0:0->80/tcp"));
  EXPECT_THAT(published("8000-8001:80-81/udp"),
              ElementsAre("0.0.0.0:8000->80/udp", "0.0.0.0:8001->81/udp"));
}

TEST(Publish, refuses_other_texts) {
  for (const char* bad : {"", "x", "0:80", "80:0", "65536:1", "1:2:3:4", "host:1:2", "81-80:1-2",
                          "[::1:80", "1:2-", "-1:2"})
    EXPECT_ERROR(parse_publish(bad), Errc::InvalidSpec, HasSubstr("--publish"));
  EXPECT_ERROR(parse_publish("80:80/sctp"), Errc::Unsupported, HasSubstr("sctp"));
  EXPECT_ERROR(parse_publish("8000-8010:80"), Errc::Unsupported, HasSubstr("lengths"));
}

TEST(AddHost, is_a_name_and_an_address) {
  EXPECT_EQ(*parse_add_host("db.local:10.0.0.2"), (HostEntry{"db.local", "10.0.0.2"}));
  EXPECT_EQ(*parse_add_host("six:fd00::1"), (HostEntry{"six", "fd00::1"}));
  EXPECT_EQ(parse_add_host("gw:host-gateway")->address, "host-gateway");
  for (const char* bad :
       {"", "db", ":10.0.0.2", "a b:10.0.0.2", "db:x", "a\nb:10.0.0.2", "-a:1.1.1.1"})
    EXPECT_ERROR(parse_add_host(bad), Errc::InvalidSpec, HasSubstr("--add-host"));
}

TEST(Options, take_the_configured_network) {
  EXPECT_EQ(parse_options({}, "host")->mode, Mode::host);
  EXPECT_EQ(parse_options(
                {.network = "none", .publish = {}, .dns = {}, .search = {}, .add_host = {}}, "host")
                ->mode,
            Mode::none);
}

TEST(Options, publish_only_where_it_leads_somewhere) {
  Options options;
  options.publish = {"8080:80"};
  for (const char* network : {"none", "host", "ns:/x"})
    EXPECT_ERROR(parse_options(options, network), Errc::InvalidSpec, HasSubstr("--publish"));
  EXPECT_EQ(parse_options(options, "bridge")->ports.size(), 1U);
  options.publish = {"8080:80", "127.0.0.1:8080:81"};
  EXPECT_ERROR(parse_options(options, "bridge"), Errc::InvalidSpec, HasSubstr("given twice"));
  options.publish = {"8080:80", "8080:80/udp", "80", "80"};
  EXPECT_EQ(parse_options(options, "bridge")->ports.size(), 4U);
  options.publish = {"[::1]:80:80"};
  EXPECT_ERROR(parse_options(options, "bridge"), Errc::Unsupported, HasSubstr("IPv6"));
  options.publish = {"80/udp"};
  EXPECT_ERROR(parse_options(options, "user"), Errc::Unsupported, HasSubstr("TCP"));
  options.publish = {"8080:80", "[::1]:8081:81"};
  EXPECT_EQ(parse_options(options, "user")->ports.size(), 2U);
  options.publish = {"1-2000:1-2000"};
  EXPECT_ERROR(parse_options(options, "bridge"), Errc::Unsupported, HasSubstr("1024"));
}

TEST(Options, refuse_servers_and_domains_that_are_none) {
  Options options;
  options.dns = {"dns.example"};
  EXPECT_ERROR(parse_options(options, "none"), Errc::InvalidSpec, HasSubstr("--dns"));
  options.dns = {"10.0.0.53"};
  options.search = {"a b"};
  EXPECT_ERROR(parse_options(options, "none"), Errc::InvalidSpec, HasSubstr("--dns-search"));
}

TEST(Options, travel_as_json) {
  const Options options{"bridge:br0", {"1:2"}, {"10.0.0.1"}, {"example.org"}, {"a:1.1.1.1"}};
  const auto back = parse_options_json(to_json(options));
  ASSERT_OK(back);
  EXPECT_EQ(json::dump(to_json(*back)), json::dump(to_json(options)));
  EXPECT_ERROR(parse_options_json(json::Object{}), Errc::InvalidJson, HasSubstr("/network"));
}

}  // namespace
}  // namespace nexcage::network
