#include "nexcage/backends/vm/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::backends::vm {
namespace {

using ::testing::HasSubstr;

TEST(VmNetwork, TheHostsOwnNamespaceIsRefused) {
  EXPECT_ERROR(connect_guest("/proc/thread-self/ns/net"), Errc::Unsupported,
               HasSubstr("the host's network"));
}

TEST(VmNetwork, WithoutAPathNothingIsConnected) {
  const auto network = connect_guest("");
  ASSERT_OK(network);
  EXPECT_TRUE(network->taps.empty());
}

}  // namespace
}  // namespace nexcage::backends::vm
