#include "nexcage/vm/dhcp/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace nexcage::vm::dhcp {
namespace {

using ::testing::ElementsAre;

Request request() {
  return {.kind = Kind::discover,
          .transaction = 0x01020304,
          .mac = "\x02\x01\x02\x03\x04\x05",
          .own = {},
          .wanted = {},
          .server = {},
          .host_name = "box"};
}

/// As a server answers it: the client's own header, an address, options.
std::string answer(const Request& to, const std::string& options) {
  std::string bytes = encode(to).substr(0, 240);
  bytes[0] = 2;
  bytes.replace(16, 4, std::string("\x0a\x00\x02\x0f", 4));
  return bytes + options + "\xff";
}
const std::string kServer("\x36\x04\x0a\x00\x02\x02", 6);
std::string kind(Kind one) { return std::string("\x35\x01", 2) + static_cast<char>(one); }

TEST(Dhcp, a_request_is_what_the_standard_says) {
  Request asked = request();
  asked.kind = Kind::request;
  asked.wanted = std::string("\x0a\x00\x02\x0f", 4);
  const std::string bytes = encode(asked);
  EXPECT_EQ(bytes.size(), 300U);
  EXPECT_EQ(bytes.substr(0, 12),
            std::string("\x01\x01\x06\x00\x01\x02\x03\x04\x00\x00\x80\x00", 12));
  EXPECT_EQ(bytes.substr(28, 6), asked.mac);
  EXPECT_EQ(bytes.substr(236, 7), "\x63\x82\x53\x63\x35\x01\x03");
  EXPECT_NE(bytes.find(std::string("\x32\x04\x0a\x00\x02\x0f", 6)), std::string::npos);
  EXPECT_NE(bytes.find("\x0c\x03"
                       "box"),
            std::string::npos);
}

TEST(Dhcp, an_answer_is_read) {
  const std::string options = kind(Kind::ack) + kServer +
                              std::string("\x01\x04\xff\xff\xf0\x00", 6) +
                              std::string("\x03\x04\x0a\x00\x02\x02", 6) +
                              std::string("\x06\x08\x0a\x00\x02\x03\x08\x08\x08\x08", 10) +
                              std::string(
                                  "\x0f\x0b"
                                  "example.org",
                                  13) +
                              std::string("\x33\x04\x00\x00\x0e\x10", 6);
  const auto reply = decode(answer(request(), options), request());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->kind, Kind::ack);
  EXPECT_EQ(reply->address, std::string("\x0a\x00\x02\x0f", 4));
  EXPECT_EQ(reply->prefix, 20);
  EXPECT_EQ(reply->gateway, std::string("\x0a\x00\x02\x02", 4));
  EXPECT_THAT(reply->name_servers,
              ElementsAre(std::string("\x0a\x00\x02\x03", 4), std::string("\x08\x08\x08\x08", 4)));
  EXPECT_EQ(reply->seconds, 3600U);
  EXPECT_EQ(resolv_conf(*reply), "search example.org\nnameserver 10.0.2.3\nnameserver 8.8.8.8\n");
}

TEST(Dhcp, what_is_not_for_us_is_not_read) {
  const std::string good = answer(request(), kind(Kind::offer) + kServer);
  ASSERT_TRUE(decode(good, request()));
  Request other = request();
  other.transaction = 9;
  EXPECT_FALSE(decode(good, other));
  other = request();
  other.mac[5] = 9;
  EXPECT_FALSE(decode(good, other));
  EXPECT_FALSE(decode(good.substr(0, 239), request()));
  EXPECT_FALSE(decode(encode(request()), request())) << "a request";
  EXPECT_FALSE(decode(answer(request(), kServer), request())) << "no kind";
  EXPECT_FALSE(decode(answer(request(), kind(Kind::offer)), request())) << "no server";
  EXPECT_FALSE(decode(
      answer(request(), kind(Kind::offer) + kServer + std::string("\x01\x04\xff\x00\xff\x00", 6)),
      request()))
      << "a mask with a hole";
}

TEST(Dhcp, a_domain_cannot_add_lines) {
  const auto reply = decode(
      answer(request(), kind(Kind::ack) + kServer + std::string("\x06\x04\x0a\x00\x02\x03", 6) +
                            std::string("\x0f\x04"
                                        "a\nb ",
                                        6)),
      request());
  ASSERT_TRUE(reply);
  EXPECT_EQ(resolv_conf(*reply), "nameserver 10.0.2.3\n");
}

TEST(Dhcp, any_bytes_are_survived) {
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = answer(request(), kind(Kind::offer) + kServer);
    for (int change = 0; change < 8; ++change)
      bytes[236 + random() % (bytes.size() - 236)] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 64));
    (void)decode(bytes, request());
  }
}

}  // namespace
}  // namespace nexcage::vm::dhcp
