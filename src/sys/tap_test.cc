#include "nexcage/sys/tap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::sys {
namespace {

TEST(Redirection, ComesBackFromItsText) {
  const Redirection one{.network_path = "/run/netns/a b",
                        .network = {.device = 4, .inode = 4026532281},
                        .interface = "eth0",
                        .tap = "nxtap0"};
  EXPECT_EQ(redirection_from(to_text(one)), one);
}

TEST(Redirection, ADamagedTextIsNone) {
  for (const char* text : {"", "4", "4 5 eth0", "4 5 eth0 nxtap0", "x 5 eth0 nxtap0 /a",
                           "4 5  nxtap0 /a", "4 5 eth0 nxtap0 relative"})
    EXPECT_EQ(redirection_from(text), std::nullopt) << text;
}

TEST(Redirection, OneOfANamespaceThatIsGoneIsOver) {
  EXPECT_OK(end_redirection({.network_path = "/nonexistent/netns",
                             .network = {.device = 1, .inode = 1},
                             .interface = "eth0",
                             .tap = "nxtap0"}));
}

// Its inode is not the one recorded: the file names another namespace by now.
TEST(Redirection, AnotherNamespaceIsLeftAlone) {
  EXPECT_OK(end_redirection({.network_path = "/proc/thread-self/ns/net",
                             .network = {.device = 1, .inode = 1},
                             .interface = "lo",
                             .tap = "nxtap0"}));
}

}  // namespace
}  // namespace nexcage::sys
