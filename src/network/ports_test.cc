#include "nexcage/network/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "nexcage/base/unique_fd.h"
#include "result_matchers.h"

namespace nexcage::network {
namespace {

using testing::HasSubstr;

Port port(const char* ip, std::uint16_t host, Protocol protocol = Protocol::tcp) {
  return {ip, host, 80, protocol};
}

TEST(Ports, conflict_when_they_would_share_packets) {
  const std::vector<Taken> taken = {{port("127.0.0.1", 8080), "web"}};
  EXPECT_NE(find_conflict(port("127.0.0.1", 8080), taken), nullptr);
  EXPECT_NE(find_conflict(port("", 8080), taken), nullptr);
  EXPECT_EQ(find_conflict(port("10.0.0.1", 8080), taken), nullptr);
  EXPECT_EQ(find_conflict(port("127.0.0.1", 8080, Protocol::udp), taken), nullptr);
  EXPECT_EQ(find_conflict(port("127.0.0.1", 8081), taken), nullptr);
}

TEST(Ports, of_another_container_are_refused) {
  EXPECT_ERROR(claim_ports({port("", 8080)}, {{port("", 8080), "web"}}), Errc::InvalidState,
               HasSubstr("container web"));
}

TEST(Ports, without_a_number_are_chosen) {
  const auto ports = claim_ports({port("127.0.0.1", 0), port("127.0.0.1", 0), port("", 0)}, {});
  ASSERT_OK(ports);
  EXPECT_NE((*ports)[0].host, 0);
  EXPECT_NE((*ports)[0].host, (*ports)[1].host);
  EXPECT_EQ((*ports)[0].host_ip, "127.0.0.1");
}

TEST(Ports, in_use_by_a_program_are_refused) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(socket.get(), 1), 0);
  socklen_t length = sizeof address;
  ASSERT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const std::uint16_t used = ntohs(address.sin_port);
  EXPECT_ERROR(claim_ports({port("127.0.0.1", used)}, {}), Errc::InvalidState,
               HasSubstr("a program of the host"));
  EXPECT_ERROR(claim_ports({port("", used)}, {}), Errc::InvalidState,
               HasSubstr("a program of the host"));
  EXPECT_ERROR(claim_ports({port("203.0.113.77", 0)}, {}), Errc::ConfigError,
               HasSubstr("does not have this address"));
}

}  // namespace
}  // namespace nexcage::network
