#include "nexcage/backends/vm/backend.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "nexcage/sys/tap.h"
#include "result_matchers.h"

namespace nexcage::backends::vm {
namespace {

/// What was announced, in its order.
class Announced final : public UndoLog {
 public:
  Result<> will_mount(const std::string& path) override { return add("mount", path); }
  Result<> will_create_dir(const std::string& path) override { return add("dir", path); }
  Result<> will_create_file(const std::string& path) override { return add("file", path); }
  Result<> will_create_cgroup(const std::string& path) override { return add("cgroup", path); }
  Result<> will_run_process(const sys::ProcessId&) override { return add("process", ""); }
  Result<> will_create_foreign(const Foreign& one) override {
    return add("foreign", one.state_dir);
  }
  Result<> will_create_unit(const Unit& unit) override { return add("unit", unit.cgroup); }
  Result<> will_redirect(const sys::Redirection& redirection) override {
    return add("redirection", sys::to_text(redirection));
  }
  std::vector<std::pair<std::string, std::string>> steps;

 private:
  Result<> add(const std::string& kind, const std::string& what) {
    steps.emplace_back(kind, what);
    return {};
  }
};

json::Value data_of_machine(const sys::Redirection& redirection, const char* cgroup) {
  json::Object out;
  json::Array redirections;
  redirections.emplace_back(sys::to_text(redirection));
  out.set("cgroup", cgroup);
  out.set("redirections", json::Value(std::move(redirections)));
  return json::Value(std::move(out));
}

// Undone last first: whoever has the tap devices open ends before the redirections.
TEST(VmRemoval, RedirectionsAreAnnouncedBeforeTheCgroup) {
  const sys::Redirection redirection = {.network_path = "/run/netns/c1",
                                        .network = {.device = 4, .inode = 7},
                                        .interface = "eth0",
                                        .tap = "nxtap0"};
  Record record;
  record.backend_data = data_of_machine(redirection, "nexcage/c1");
  Announced undo;
  ASSERT_OK(make_backend({})->announce_removal(undo, record));
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"redirection", sys::to_text(redirection)}, {"cgroup", "nexcage/c1"}};
  EXPECT_EQ(undo.steps, expected);
}

TEST(VmRemoval, ADamagedRecordAnnouncesNothing) {
  Announced undo;
  ASSERT_OK(make_backend({})->announce_removal(undo, {}));
  EXPECT_TRUE(undo.steps.empty());
}

}  // namespace
}  // namespace nexcage::backends::vm
