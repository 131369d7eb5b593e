#include "nexcage/network/files.h"

#include "result_matchers.h"

namespace nexcage::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Hosts, name_localhost_the_entries_the_host_and_the_container) {
  const HostsInput input{.hostname = "web",
                         .addresses = {"10.112.0.2", "fd00::2"},
                         .gateway = "10.112.0.1",
                         .base = {}};
  EXPECT_EQ(*hosts_text(input, {{"db", "10.0.0.9"}, {"outside", "host-gateway"}}),
            "127.0.0.1\tlocalhost localhost.localdomain\n"
            "::1\tlocalhost localhost.localdomain\n"
            "10.0.0.9\tdb\n"
            "10.112.0.1\toutside\n"
            "10.112.0.1\thost.containers.internal host.docker.internal\n"
            "10.112.0.2\tweb\n"
            "fd00::2\tweb\n");
}

TEST(Hosts, without_an_address_the_name_is_local) {
  EXPECT_THAT(*hosts_text({.hostname = "web", .addresses = {}, .gateway = {}, .base = {}}, {}),
              HasSubstr("\n127.0.0.1\tweb\n"));
  EXPECT_ERROR(hosts_text({.hostname = "web", .addresses = {}, .gateway = {}, .base = {}},
                          {{"outside", "host-gateway"}}),
               Errc::ConfigError, HasSubstr("no gateway"));
}

TEST(Hosts, of_the_host_stay_in_front) {
  EXPECT_EQ(
      *hosts_text({.hostname = "web", .addresses = {}, .gateway = {}, .base = "1.2.3.4 x"}, {}),
      "1.2.3.4 x\n127.0.0.1\tweb\n");
}

TEST(ResolvConf, is_read_and_written) {
  const Resolver resolver = parse_resolv_conf(
      "# comment\nnameserver 10.0.0.1\nnameserver\t10.0.0.2\n search old\nsearch a.example "
      "b.example\n"
      "options ndots:2 edns0\nsortlist x\nnameserver\n");
  EXPECT_THAT(resolver.servers, ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_THAT(resolver.search, ElementsAre("a.example", "b.example"));
  EXPECT_EQ(resolv_text(resolver),
            "search a.example b.example\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n"
            "options ndots:2 edns0\n");
}

TEST(ResolvConf, of_resolveds_stub_is_recognised) {
  EXPECT_TRUE(names_only_resolved_stub("nameserver 127.0.0.53\noptions edns0\n"));
  EXPECT_FALSE(names_only_resolved_stub("nameserver 127.0.0.53\nnameserver 10.0.0.1\n"));
  EXPECT_FALSE(names_only_resolved_stub(""));
}

TEST(Resolver, takes_what_was_asked_then_the_network_then_the_host) {
  const Resolver asked{{"9.9.9.9"}, {}, {}};
  const Resolver network{{"10.1.0.1"}, {"net.example"}, {}};
  const Resolver host{{"127.0.0.1", "10.0.0.1"}, {"host.example"}, {"ndots:3"}};
  const Resolver all = choose_resolver(asked, network, host, Mode::bridge);
  EXPECT_THAT(all.servers, ElementsAre("9.9.9.9"));
  EXPECT_THAT(all.search, ElementsAre("net.example"));
  EXPECT_THAT(all.options, ElementsAre("ndots:3"));
  EXPECT_THAT(choose_resolver({}, {}, host, Mode::bridge).servers, ElementsAre("10.0.0.1"));
  EXPECT_THAT(choose_resolver({}, {}, host, Mode::host).servers,
              ElementsAre("127.0.0.1", "10.0.0.1"));
  EXPECT_THAT(choose_resolver({}, {}, {}, Mode::none).servers, IsEmpty());
}

}  // namespace
}  // namespace nexcage::network
