// Tap devices beside the interfaces of a network namespace, in the real kernel.
#include "nexcage/sys/tap.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <optional>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/netns.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage {
namespace {

using testing::HasSubstr;
using testing::Not;

/// The test is in a network namespace of its own, with an interface eth0.
class Tap : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: namespaces";
    if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "needs /dev/net/tun";
    if (!sys::find_program("ip") || !sys::find_program("tc")) GTEST_SKIP() << "needs iproute2";
    auto visit = sys::NetworkVisit::make();
    ASSERT_OK(visit);
    visit_.emplace(std::move(*visit));
    ASSERT_EQ(
        shell("ip link add eth0 type veth peer name other && ip addr add 10.77.0.2/24 dev eth0 "
              "&& ip link set eth0 up && ip link set other up"),
        "");
  }
  static std::string shell(const std::string& script) {
    sys::Command command;
    command.argv = {"/bin/sh", "-c", script + " 2>&1"};
    command.inherit_env = true;
    auto output = sys::run(command, "", std::chrono::seconds(20));
    EXPECT_OK(output);
    return output ? output->out : std::string();
  }
  static sys::Redirection redirection() {
    const auto own = sys::own_network_id();
    EXPECT_OK(own);
    return {.network_path = "/proc/thread-self/ns/net",
            .network = own ? *own : sys::NetworkId{},
            .interface = "eth0",
            .tap = "nxtap0"};
  }
  std::optional<sys::NetworkVisit> visit_;
};

TEST_F(Tap, ATapDeviceIsNoInterfaceToConnect) {
  const auto tap = sys::make_tap("nxtap0", 1400);
  ASSERT_OK(tap);
  EXPECT_TRUE(*sys::has_link("nxtap0"));
  const auto links = sys::ethernet_links();
  ASSERT_OK(links);
  for (const sys::Link& link : *links) EXPECT_EQ(link.kind, "veth") << link.name;
  EXPECT_EQ(links->size(), 2u);
}

TEST_F(Tap, ARedirectionOfAFormerMachineIsReplaced) {
  for (int round = 0; round < 2; ++round) {
    const auto tap = sys::make_tap("nxtap0", 1500);
    ASSERT_OK(tap);
    ASSERT_OK(sys::redirect_packets("eth0", "nxtap0"));
    const std::string shown = shell("tc filter show dev eth0 ingress");
    EXPECT_THAT(shown, HasSubstr("nxtap0"));
    EXPECT_EQ(shown.find("mirred"), shown.rfind("mirred")) << shown;
  }
}

TEST_F(Tap, AnEndedRedirectionLeavesNothing) {
  {
    const auto tap = sys::make_tap("nxtap0", 1500);
    ASSERT_OK(tap);
    ASSERT_OK(sys::redirect_packets("eth0", "nxtap0"));
    ASSERT_OK(sys::end_redirection(redirection()));
    EXPECT_THAT(shell("tc qdisc show dev eth0"), HasSubstr("ingress")) << "it is in use";
  }
  ASSERT_OK(sys::end_redirection(redirection()));
  EXPECT_THAT(shell("tc qdisc show dev eth0"), Not(HasSubstr("ingress")));
  EXPECT_OK(sys::end_redirection(redirection()));
}

TEST_F(Tap, FiltersOfSomebodyElseAreLeftAlone) {
  ASSERT_EQ(
      shell(
          "tc qdisc add dev eth0 ingress && tc filter add dev eth0 ingress protocol ip prio 5 u32 "
          "match u32 0 0 flowid 1:7"),
      "");
  const auto tap = sys::make_tap("nxtap0", 1500);
  ASSERT_OK(tap);
  EXPECT_ERROR(sys::redirect_packets("eth0", "nxtap0"), Errc::InvalidConfig,
               HasSubstr("filters of its own"));
  ASSERT_OK(sys::stop_redirecting("eth0"));
  EXPECT_THAT(shell("tc filter show dev eth0 ingress"), HasSubstr("flowid 1:7"));
}

TEST_F(Tap, RoutesKeepWhatTheySay) {
  ASSERT_EQ(shell("ip route add default via 10.99.0.1 dev eth0 onlink metric 50 mtu 1300"), "");
  const auto routes = sys::link_routes("eth0");
  ASSERT_OK(routes);
  ASSERT_EQ(routes->size(), 1u);
  const sys::LinkRoute& route = routes->front();
  EXPECT_TRUE(route.on_link);
  EXPECT_EQ(route.priority, 50u);
  EXPECT_FALSE(route.metrics.empty());
  ASSERT_EQ(shell("ip route del default"), "");
  ASSERT_OK(sys::add_route("eth0", route));
  EXPECT_THAT(shell("ip route show default"),
              testing::AllOf(HasSubstr("10.99.0.1"), HasSubstr("onlink"), HasSubstr("metric 50"),
                             HasSubstr("mtu 1300")));
}

TEST_F(Tap, ARouteThatCannotBeSaidIsRefused) {
  ASSERT_EQ(shell("ip route add blackhole 10.88.0.0/16"), "");
  EXPECT_ERROR(sys::link_routes("eth0"), Errc::Unsupported, HasSubstr("unicast"));
}

}  // namespace
}  // namespace nexcage
