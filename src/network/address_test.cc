#include "nexcage/network/address.h"

#include "result_matchers.h"

namespace nexcage::network {
namespace {

using testing::HasSubstr;

TEST(Address, is_read_and_written) {
  EXPECT_EQ(parse_address("10.0.0.1")->str(), "10.0.0.1");
  EXPECT_EQ(parse_address("0:0::1")->str(), "::1");
  EXPECT_TRUE(parse_address("127.0.0.53")->is_loopback());
  EXPECT_TRUE(parse_address("::1")->is_loopback());
  EXPECT_FALSE(parse_address("128.0.0.1")->is_loopback());
  EXPECT_TRUE(parse_address("0.0.0.0")->is_any());
  for (const char* bad : {"", "10.0.0", "10.0.0.256", "10.0.0.1/8", "host", "::1%lo", "1.2.3.4 "})
    EXPECT_FALSE(parse_address(bad)) << bad;
  EXPECT_FALSE(parse_address(std::string_view("10.0.0.1\0x", 10)));
}

TEST(Prefix, knows_what_lies_in_it) {
  const Prefix net = *parse_prefix("10.112.0.0/22");
  EXPECT_TRUE(net.contains(*parse_address("10.112.3.255")));
  EXPECT_FALSE(net.contains(*parse_address("10.112.4.0")));
  EXPECT_FALSE(net.contains(*parse_address("::1")));
  EXPECT_EQ(net.first_host().str(), "10.112.0.1");
  EXPECT_EQ(parse_prefix("10.112.2.7/22")->network().str(), "10.112.0.0");
  EXPECT_EQ(parse_prefix("fd00::5/64")->first_host().str(), "fd00::1");
  EXPECT_EQ(parse_prefix("10.1.2.3/8")->str(), "10.1.2.3/8");
  EXPECT_TRUE(parse_prefix("0.0.0.0/0")->contains(*parse_address("255.255.255.255")));
}

TEST(Prefix, overlaps_when_one_holds_the_other) {
  const Prefix net = *parse_prefix("10.112.0.0/22");
  EXPECT_TRUE(net.overlaps(*parse_prefix("10.0.0.0/8")));
  EXPECT_TRUE(parse_prefix("10.0.0.0/8")->overlaps(net));
  EXPECT_TRUE(net.overlaps(*parse_prefix("10.112.1.0/24")));
  EXPECT_FALSE(net.overlaps(*parse_prefix("10.112.4.0/22")));
  EXPECT_FALSE(net.overlaps(*parse_prefix("::/0")));
}

TEST(Prefix, refuses_other_texts) {
  for (const char* bad : {"10.0.0.1", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/", "/8", "::/129"})
    EXPECT_FALSE(parse_prefix(bad)) << bad;
}

TEST(Mac, is_that_of_one_interface) {
  EXPECT_EQ(*parse_mac("02:AB:cd:00:00:01"), "02:ab:cd:00:00:01");
  for (const char* bad :
       {"", "02:ab:cd:00:00", "02-ab-cd-00-00-01", "02:ab:cd:00:00:0g", "02:ab:cd:00:00:01:02"})
    EXPECT_ERROR(parse_mac(bad), Errc::InvalidSpec, HasSubstr("aa:bb:cc:dd:ee:ff"));
  EXPECT_ERROR(parse_mac("01:00:5e:00:00:01"), Errc::InvalidSpec, HasSubstr("cannot be"));
  EXPECT_ERROR(parse_mac("00:00:00:00:00:00"), Errc::InvalidSpec, HasSubstr("cannot be"));
}

}  // namespace
}  // namespace nexcage::network
