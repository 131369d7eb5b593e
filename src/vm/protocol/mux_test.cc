#include "nexcage/vm/protocol/mux.h"

#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::vm::protocol {
namespace {

using ::testing::HasSubstr;

/// Both ends, after their hellos.
struct Line {
  Mux host{Role::host}, guest{Role::guest};

  Line() {
    guest.send(Type::hello, 0, encode(Hello{}));
    host.send(Type::hello, 0, encode(Hello{}));
    move();
    (void)host.next();
    (void)guest.next();
  }
  void move() {
    host.receive(guest.pending());
    guest.sent(guest.pending().size());
    guest.receive(host.pending());
    host.sent(host.pending().size());
  }
  void open(std::uint32_t session) {
    host.send(session == 0 ? Type::prepare : Type::exec, session, "plan");
    move();
    (void)guest.next();
  }
  /// The guest's bytes as they are.
  void raw(Type type, std::uint32_t session, std::string_view payload) {
    std::string bytes;
    append_frame(bytes, type, session, payload);
    host.receive(bytes);
  }
};

void expect_host_refuses(Line& line, const char* why) {
  EXPECT_ERROR(line.host.next(), Errc::RuntimeError, HasSubstr(why));
  EXPECT_ERROR(line.host.next(), Errc::RuntimeError, HasSubstr("broken off"));
}

TEST(Mux, hello_comes_first_and_once) {
  Line line;
  line.raw(Type::hello, 0, encode(Hello{}));
  expect_host_refuses(line, "it came before");
  Mux fresh(Role::host);
  std::string bytes;
  append_frame(bytes, Type::prepared, 0, "");
  fresh.receive(bytes);
  EXPECT_ERROR(fresh.next(), Errc::RuntimeError, HasSubstr("hello comes first"));
}

TEST(Mux, a_long_message_travels_in_parts_and_arrives_whole) {
  Line line;
  std::string plan(kMaxMessage, 'p');
  plan.back() = 'q';
  line.host.send(Type::prepare, 0, plan);
  const std::string bytes(line.host.pending());
  line.guest.receive(std::string_view(bytes).substr(0, bytes.size() - 1));
  ASSERT_OK(line.guest.next());
  EXPECT_FALSE(line.guest.at_boundary());
  line.guest.receive(std::string_view(bytes).substr(bytes.size() - 1));
  auto frame = line.guest.next();
  ASSERT_OK(frame);
  ASSERT_TRUE(*frame);
  EXPECT_EQ((*frame)->type, Type::prepare);
  EXPECT_EQ((*frame)->payload, plan);
  EXPECT_TRUE(line.guest.at_boundary());
}

TEST(Mux, a_message_that_is_too_long_or_mixed_is_refused) {
  Line line;
  line.host.send(Type::prepare, 0, std::string(kMaxMessage + 1, 'p'));
  line.move();
  EXPECT_ERROR(line.guest.next(), Errc::RuntimeError, HasSubstr("too long"));
  Line mixed;
  std::string bytes;
  append_frame(bytes, Type::part, 1, "x");
  append_frame(bytes, Type::exec, 2, "y");
  mixed.guest.receive(bytes);
  EXPECT_ERROR(mixed.guest.next(), Errc::RuntimeError, HasSubstr("parts of another"));
}

TEST(Mux, a_stream_stops_at_its_window_and_goes_on_with_credit) {
  Line line;
  line.open(0);
  EXPECT_EQ(line.guest.window(0, Stream::out), kWindow);
  line.guest.send_data(0, Stream::out, std::string(kWindow + 5, 'x'));
  EXPECT_EQ(line.guest.window(0, Stream::out), 0u);
  EXPECT_EQ(line.guest.window(0, Stream::err), kWindow);
  line.move();
  std::size_t size = 0;
  for (auto frame = line.host.next(); frame && *frame; frame = line.host.next())
    size += data_of(**frame).bytes.size();
  EXPECT_EQ(size, kWindow);
  line.host.consumed(0, Stream::out, 1);
  EXPECT_TRUE(line.host.pending().empty());  // told in portions
  line.host.consumed(0, Stream::out, kWindow - 1);
  line.move();
  EXPECT_FALSE(*line.guest.next());  // credit is the mux's own
  EXPECT_EQ(line.guest.window(0, Stream::out), kWindow);
}

TEST(Mux, data_beyond_the_window_is_refused) {
  Line line;
  line.open(0);
  line.guest.send_data(0, Stream::out, std::string(kWindow, 'x'));
  line.move();
  while (*line.host.next()) {
  }
  line.raw(Type::data, 0, "\1x");
  expect_host_refuses(line, "beyond the window");
}

TEST(Mux, credit_that_was_not_used_is_refused) {
  Line line;
  line.open(0);
  line.host.send_data(0, Stream::in, "abc");
  line.raw(Type::credit, 0, encode(Credit{.stream = 0, .bytes = 4}));
  expect_host_refuses(line, "more than was sent");
}

TEST(Mux, a_guest_cannot_send_what_is_the_hosts) {
  for (const Type type : {Type::prepare, Type::exec, Type::part, Type::start, Type::signal,
                          Type::winsize, Type::shutdown}) {
    Line line;
    line.open(0);
    const bool empty = type == Type::start || type == Type::shutdown;
    line.raw(type, 0, empty ? "" : "x");
    expect_host_refuses(line, "a guest does not send it");
  }
}

TEST(Mux, frames_of_unknown_or_ended_sessions_are_refused_at_the_host) {
  Line line;
  line.open(0);
  line.raw(Type::data, 1, "\1x");
  expect_host_refuses(line, "no such session");
  Line ended;
  ended.open(0);
  ended.raw(Type::exit, 0, encode(Exit{}));
  EXPECT_TRUE(*ended.host.next());
  EXPECT_FALSE(ended.host.is_open(0));
  ended.raw(Type::exit, 0, encode(Exit{}));
  expect_host_refuses(ended, "no such session");
}

TEST(Mux, what_a_host_sends_to_a_session_that_has_just_ended_is_dropped) {
  Line line;
  line.open(0);
  line.guest.send(Type::exit, 0, encode(Exit{}));
  line.host.send_data(0, Stream::in, "late");
  line.host.send(Type::signal, 0, encode(Signal{.number = 9}));
  line.move();
  auto frame = line.guest.next();
  ASSERT_OK(frame);
  EXPECT_FALSE(*frame);
}

TEST(Mux, streams_have_one_end_and_one_direction) {
  Line line;
  line.open(0);
  line.raw(Type::eof, 0, "\1");
  EXPECT_TRUE(*line.host.next());
  line.raw(Type::data, 0, "\1x");
  expect_host_refuses(line, "has ended");
  Line wrong;
  wrong.open(0);
  wrong.raw(Type::data, 0, std::string("\0x", 2));
  expect_host_refuses(wrong, "no stream of that side");
  Line none;
  none.open(0);
  none.raw(Type::data, 0, "\3x");
  expect_host_refuses(none, "no stream of that side");
  Line empty;
  empty.open(0);
  empty.raw(Type::data, 0, "");
  expect_host_refuses(empty, "names no stream");
}

TEST(Mux, answers_come_once) {
  Line twice;
  twice.open(0);
  twice.raw(Type::prepared, 0, "");
  twice.raw(Type::prepared, 0, "");
  EXPECT_TRUE(*twice.host.next());
  expect_host_refuses(twice, "it came before");
}

TEST(Mux, a_host_that_is_not_read_gives_up) {
  Line line;
  line.open(0);
  for (std::size_t size = 0; size <= kMaxPending; size += kMaxPayload)
    line.host.send(Type::winsize, 0, std::string(kMaxPayload, 'x'));
  line.raw(Type::eof, 0, "\1");
  expect_host_refuses(line, "does not read");
}

}  // namespace
}  // namespace nexcage::vm::protocol
