#include "nexcage/vm/host/guest.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::vm::host {
namespace {

using protocol::kContainerSession;
using protocol::Mux;
using protocol::Role;
using protocol::Stream;
using protocol::Type;
using ::testing::HasSubstr;

struct Silent : GuestEvents {
  Result<> hello() override { return {}; }
  Result<> prepared() override { return {}; }
  Result<> started(std::uint32_t, const protocol::Started&) override { return {}; }
  Result<> failed(std::uint32_t, const sys::plan::Failure&) override { return {}; }
  Result<> exited(std::uint32_t, const protocol::Exit&) override { return {}; }
};

/// The host's side with an agent that the test plays.
class Conversation : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    guest_.emplace(UniqueFd(ends[0]), events_);
    port_.reset(ends[1]);
    agent_.send(Type::hello, kContainerSession, protocol::encode(protocol::Hello{}));
    ASSERT_OK(exchange());
  }
  Result<> step() {
    Poller poller;
    guest_->add_to(poller);
    poller.until(Poller::Clock::now() + std::chrono::milliseconds(20));
    return poller.wait();
  }
  void write(std::string_view bytes) const {
    ASSERT_EQ(::write(port_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  /// Both say what they have; the agent's frames are looked at and dropped.
  Result<> exchange() {
    for (int round = 0; round < 8; ++round) {
      if (const std::string_view pending = agent_.pending(); !pending.empty()) {
        write(pending);
        agent_.sent(pending.size());
      }
      NX_CHECK(step());
      std::array<char, 65536> part;
      const ssize_t n = ::recv(port_.get(), part.data(), part.size(), MSG_DONTWAIT);
      if (n > 0) agent_.receive({part.data(), static_cast<std::size_t>(n)});
      for (;;) {
        NX_TRY(const auto frame, agent_.next());
        if (!frame) break;
      }
    }
    return {};
  }
  static Streams to_null() {
    Streams out;
    for (UniqueFd* fd : {&out.in, &out.out, &out.err})
      fd->reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
    return out;
  }
  Silent events_;
  std::optional<Guest> guest_;
  UniqueFd port_;
  Mux agent_{Role::guest};
};

TEST_F(Conversation, AnEndInTheMiddleOfAFrameIsTold) {
  Mux other(Role::guest);
  other.send(Type::prepared, kContainerSession);
  write(other.pending().substr(0, 5));
  ASSERT_OK(step());
  port_.reset();
  EXPECT_ERROR(step(), Errc::RuntimeError, HasSubstr("in the middle of a message"));
}

TEST_F(Conversation, AnEndBetweenFramesIsAnother) {
  port_.reset();
  EXPECT_ERROR(step(), Errc::RuntimeError, HasSubstr("the guest has ended"));
}

// More than a window: without credit for what nobody reads, the guest's process would stand still.
TEST_F(Conversation, WhatAForgottenSessionWritesIsThrownAway) {
  const std::uint32_t session = guest_->exec("plan", to_null());
  ASSERT_OK(exchange());
  ASSERT_TRUE(agent_.is_open(session));
  guest_->forget(session);
  const std::string part(60'000, 'x');
  std::size_t written = 0;
  for (int i = 0; i < 20; ++i) {
    const std::size_t room = std::min(agent_.window(session, Stream::out), part.size());
    agent_.send_data(session, Stream::out, std::string_view(part).substr(0, room));
    written += room;
    ASSERT_OK(exchange());
  }
  EXPECT_GT(written, std::size_t{protocol::kWindow} * 2);
}

// What it wrote before was not yet written here: it counts as well.
TEST_F(Conversation, WhatAForgottenSessionHadWrittenIsCredited) {
  for (const Stream stream : {Stream::out, Stream::err}) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd reader(ends[0]);
    Streams streams = to_null();
    (stream == Stream::out ? streams.out : streams.err).reset(ends[1]);
    const std::uint32_t session = guest_->exec("plan", std::move(streams));
    ASSERT_OK(exchange());
    const std::string part(60'000, 'x');
    while (agent_.window(session, stream) > 0) {
      const std::size_t room = std::min(agent_.window(session, stream), part.size());
      agent_.send_data(session, stream, std::string_view(part).substr(0, room));
      ASSERT_OK(exchange());
    }
    guest_->forget(session);
    ASSERT_OK(exchange());
    EXPECT_GT(agent_.window(session, stream), std::size_t{protocol::kWindow} / 2);
  }
}

TEST_F(Conversation, AForgottenSessionClosesItsDescriptors) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  Streams streams = to_null();
  streams.out.reset(ends[1]);
  const std::uint32_t session = guest_->exec("plan", std::move(streams));
  guest_->forget(session);
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0) << "the writing end is closed";
}

}  // namespace
}  // namespace nexcage::vm::host
