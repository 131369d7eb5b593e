#include "nexcage/backends/vm/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::backends::vm {
namespace {

using ::testing::HasSubstr;

/// Remembers nothing: nothing is made.
class NoUndo final : public UndoLog {
 public:
  Result<> will_mount(const std::string&) override { return {}; }
  Result<> will_create_dir(const std::string&) override { return {}; }
  Result<> will_create_file(const std::string&) override { return {}; }
  Result<> will_create_cgroup(const std::string&) override { return {}; }
  Result<> will_run_process(const sys::ProcessId&) override { return {}; }
  Result<> will_create_foreign(const Foreign&) override { return {}; }
  Result<> will_create_unit(const Unit&) override { return {}; }
  Result<> will_redirect(const sys::Redirection&) override { return {}; }
};

TEST(VmNetwork, TheHostsOwnNamespaceIsRefused) {
  NoUndo undo;
  EXPECT_ERROR(connect_guest("/proc/thread-self/ns/net", undo), Errc::Unsupported,
               HasSubstr("the host's network"));
}

TEST(VmNetwork, WithoutAPathNothingIsConnected) {
  NoUndo undo;
  const auto network = connect_guest("", undo);
  ASSERT_OK(network);
  EXPECT_TRUE(network->taps.empty());
}

}  // namespace
}  // namespace nexcage::backends::vm
