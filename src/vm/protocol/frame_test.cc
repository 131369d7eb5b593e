#include "nexcage/vm/protocol/frame.h"

#include <gtest/gtest.h>

#include "nexcage/vm/protocol/message.h"
#include "result_matchers.h"

namespace nexcage::vm::protocol {
namespace {

using ::testing::HasSubstr;

std::string frame(Type type, std::uint32_t session, std::string_view payload) {
  std::string out;
  append_frame(out, type, session, payload);
  return out;
}

TEST(Frame, has_this_form_on_the_wire) {
  EXPECT_EQ(frame(Type::data, 0x01020304, "abc"), std::string("\x03\0\0\0\x08\0\0\0\x04\x03\x02\x01"
                                                              "abc",
                                                              15));
}

TEST(Decoder, cuts_frames_from_any_portions) {
  std::string bytes = frame(Type::hello, 0, "one") +
                      frame(Type::data, 7, std::string(kMaxPayload, 'x')) +
                      frame(Type::start, 0, "");
  for (const std::size_t portion : {std::size_t{1}, std::size_t{13}, bytes.size()}) {
    Decoder decoder;
    std::vector<Frame> frames;
    for (std::size_t at = 0; at < bytes.size(); at += portion) {
      decoder.feed(std::string_view(bytes).substr(at, portion));
      for (;;) {
        auto next = decoder.next();
        ASSERT_OK(next);
        if (!*next) break;
        frames.push_back(**next);
      }
    }
    ASSERT_EQ(frames.size(), 3u) << portion;
    EXPECT_EQ(frames[0], (Frame{Type::hello, 0, "one"}));
    EXPECT_EQ(frames[1].payload.size(), kMaxPayload);
    EXPECT_EQ(frames[2], (Frame{Type::start, 0, ""}));
    EXPECT_TRUE(decoder.at_boundary());
  }
}

TEST(Decoder, knows_when_a_frame_is_cut_off) {
  Decoder decoder;
  decoder.feed(std::string_view(frame(Type::hello, 0, "one")).substr(0, 14));
  EXPECT_FALSE(*decoder.next());
  EXPECT_FALSE(decoder.at_boundary());
}

void expect_refused(const std::string& header, const char* why) {
  Decoder decoder;
  decoder.feed(header);
  EXPECT_ERROR(decoder.next(), Errc::RuntimeError, HasSubstr(why));
  decoder.feed(frame(Type::start, 0, ""));
  EXPECT_ERROR(decoder.next(), Errc::RuntimeError, HasSubstr("broken off"));
}

TEST(Decoder, refuses_what_is_no_frame_and_stays_with_it) {
  // One byte too long; of type 0; of a type that does not exist; with flags.
  expect_refused(std::string("\x01\0\x01\0\x08\0\0\0\0\0\0\0", 12), "65537 bytes");
  expect_refused(std::string("\0\0\0\0\0\0\0\0\0\0\0\0", 12), "unknown type 0");
  expect_refused(std::string("\0\0\0\0\x12\0\0\0\0\0\0\0", 12), "unknown type 18");
  expect_refused(std::string("\0\0\0\0\x08\0\x01\0\0\0\0\0", 12), "unknown flags 1");
}

TEST(Message, every_record_comes_back_as_it_was) {
  Volume lower, upper, share;
  lower.fstype = "erofs";
  lower.source = "a";
  lower.devices = {"b", "c"};
  upper.fstype = "tmpfs";
  upper.options = {"size=1m"};
  share.fstype = "virtiofs";
  share.attributes = 1;
  share.path = "/in";
  Interface interface;
  interface.mac = "123456";
  interface.name = "eth0";
  interface.mtu = 1400;
  interface.addresses.emplace_back().local = "abcd";
  interface.routes.emplace_back().gateway = "abce";
  Prepare prepare;
  prepare.sources = {Root{.lowers = {lower}, .upper = {upper}},
                     File{.content = "text", .mode = 0600, .uid = 1, .gid = 2, .attributes = 1},
                     share};
  prepare.interfaces = {interface};
  prepare.pids_max = 9;
  prepare.plan = std::string("\0plan", 5);
  const auto again = decode<Prepare>(encode(prepare));
  ASSERT_OK(again);
  EXPECT_EQ(encode(*again), encode(prepare));
  EXPECT_EQ(std::get<Root>(again->sources[0]).lowers[0].devices[1], "c");
  EXPECT_EQ(again->interfaces[0].routes[0].gateway, "abce");
}

TEST(Message, values_out_of_their_range_are_refused) {
  EXPECT_ERROR(decode<Signal>(encode(Signal{.number = 65})), Errc::RuntimeError, HasSubstr("65"));
  EXPECT_ERROR(decode<Signal>(encode(Signal{})), Errc::RuntimeError, HasSubstr("number 0"));
  EXPECT_ERROR(decode<Exit>(encode(Exit{.code = 256})), Errc::RuntimeError, HasSubstr("exit"));
  EXPECT_ERROR(decode<Exit>(encode(Exit{.signal = 90})), Errc::RuntimeError, HasSubstr("exit"));
  EXPECT_ERROR(decode<Credit>(encode(Credit{.stream = 3, .bytes = 1})), Errc::RuntimeError,
               HasSubstr("no stream"));
  EXPECT_ERROR(decode<Hello>(encode(Hello{.magic = 1})), Errc::RuntimeError, HasSubstr("else"));
  EXPECT_ERROR(decode<Hello>(encode(Hello{.version = kVersion + 1})), Errc::RuntimeNotAvailable,
               HasSubstr("version"));
  EXPECT_ERROR(decode<Started>("abc"), Errc::RuntimeError, HasSubstr("damaged started"));
  EXPECT_ERROR(decode<Started>("abcde"), Errc::RuntimeError, HasSubstr("damaged started"));
  Prepare prepare;
  prepare.sources = {Root{}};
  EXPECT_ERROR(decode<Prepare>(encode(prepare)), Errc::RuntimeError, HasSubstr("without file"));
}

}  // namespace
}  // namespace nexcage::vm::protocol
