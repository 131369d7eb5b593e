#include "nexcage/vm/host/forward.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include "result_matchers.h"

namespace nexcage::vm::host {
namespace {

using ::testing::HasSubstr;

std::uint16_t port_of(int socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), 0);
  return ntohs(address.sin_port);
}

UniqueFd connect_to(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    socket.reset();
  return socket;
}

std::string read_all(int socket) {
  std::string out;
  std::array<char, 65536> part;
  for (;;) {
    const ssize_t n = ::recv(socket, part.data(), part.size(), 0);
    if (n <= 0) return out;
    out.append(part.data(), static_cast<std::size_t>(n));
  }
}

void send_all(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::vector<int> open_descriptors() {
  std::vector<int> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    out.push_back(std::stoi(entry.path().filename().string()));
  return out;
}

int option_of(int socket, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(::getsockopt(socket, level, name, &value, &length), 0);
  return value;
}

/// The end of it that the forwarder, in this process, has of the connection of this socket.
int other_end_of(int socket) {
  for (const int fd : open_descriptors()) {
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0 &&
        peer.sin_family == AF_INET && ntohs(peer.sin_port) == port_of(socket))
      return fd;
  }
  return -1;
}

/// A forwarder between a port that a test connects to and one that it listens on itself.
class Forwarding : public ::testing::Test {
 protected:
  void SetUp() override {
    auto inside = listen_tcp("127.0.0.1", 0);
    auto outside = listen_tcp("127.0.0.1", 0);
    ASSERT_OK(inside);
    ASSERT_OK(outside);
    inside_ = *std::move(inside);
    port_ = port_of(outside->get());
    const std::vector<Forward> forwards = {
        {.listener = outside->release(), .outer = port_of(inside_.get())}};
    loop_ = std::thread([this, forwards] {
      Forwarder forwarder(forwards);
      while (!done_) {
        Poller poller;
        forwarder.add_to(poller);
        poller.until(Poller::Clock::now() + std::chrono::milliseconds(5));
        if (!poller.wait()) return;
      }
    });
  }
  void TearDown() override {
    done_ = true;
    if (loop_.joinable()) loop_.join();
  }
  UniqueFd accepted() const {
    for (;;) {
      UniqueFd socket(::accept4(inside_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (socket || errno != EAGAIN) return socket;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  UniqueFd inside_;
  std::uint16_t port_ = 0;
  std::atomic<bool> done_ = false;
  std::thread loop_;
};

TEST_F(Forwarding, BothDirectionsEndByThemselves) {
  const UniqueFd client = connect_to(port_);
  ASSERT_TRUE(client);
  const UniqueFd server = accepted();
  send_all(client.get(), "asked");
  ASSERT_EQ(::shutdown(client.get(), SHUT_WR), 0);
  EXPECT_EQ(read_all(server.get()), "asked");
  send_all(server.get(), "answered");
  ASSERT_EQ(::shutdown(server.get(), SHUT_WR), 0);
  EXPECT_EQ(read_all(client.get()), "answered");
}

TEST_F(Forwarding, ASlowReaderHoldsUpItsOwnConnectionOnly) {
  const UniqueFd slow = connect_to(port_);
  const UniqueFd much = accepted();
  const std::string text(16u << 20, 'x');
  std::thread writer([&] {
    send_all(much.get(), text);
    (void)::shutdown(much.get(), SHUT_WR);
  });
  const UniqueFd client = connect_to(port_);
  const UniqueFd server = accepted();
  send_all(client.get(), "aside");
  std::array<char, 5> part{};
  EXPECT_EQ(::recv(server.get(), part.data(), part.size(), MSG_WAITALL), 5);
  EXPECT_EQ(read_all(slow.get()), text);
  writer.join();
}

// He has said that he sends nothing more, and the server says nothing: nothing is passed on.
TEST_F(Forwarding, AClientThatResetsAQuietConnectionIsForgotten) {
  const std::size_t before = open_descriptors().size();
  UniqueFd client = connect_to(port_);
  const UniqueFd server = accepted();
  ASSERT_EQ(::shutdown(client.get(), SHUT_WR), 0);
  EXPECT_EQ(read_all(server.get()), "");
  EXPECT_EQ(open_descriptors().size(), before + 4);
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
  client.reset();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (open_descriptors().size() > before + 1 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(open_descriptors().size(), before + 1) << "the server's is left";
}

TEST_F(Forwarding, AClientThatVanishesIsAskedFor) {
  const UniqueFd client = connect_to(port_);
  const UniqueFd server = accepted();
  const int outside = other_end_of(client.get());
  ASSERT_GE(outside, 0);
  EXPECT_EQ(option_of(outside, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option_of(outside, IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option_of(outside, IPPROTO_TCP, TCP_KEEPINTVL), 15);
}

TEST_F(Forwarding, WhereNobodyListensTheConnectionEnds) {
  inside_.reset();
  const UniqueFd client = connect_to(port_);
  ASSERT_TRUE(client);
  EXPECT_EQ(read_all(client.get()), "");
}

TEST(ListenTcp, APortThatSomebodyHasIsSaid) {
  const auto first = listen_tcp("127.0.0.1", 0);
  ASSERT_OK(first);
  EXPECT_ERROR(listen_tcp("127.0.0.1", port_of(first->get())), Errc::InvalidState,
               HasSubstr("uses it"));
  EXPECT_ERROR(listen_tcp("192.0.2.1", 1), Errc::ConfigError, HasSubstr("192.0.2.1"));
}

}  // namespace
}  // namespace nexcage::vm::host
