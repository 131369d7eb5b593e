#include "nexcage/runtime/hooks.h"

#include <chrono>
#include <fstream>
#include <iterator>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using backends::HookPoint;
using testing::HasSubstr;

class Hooks : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create("/tmp", "hooks-test");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
    state_.oci_version = "1.0.2";
    state_.id = "web";
    state_.pid = 42;
    state_.bundle = dir_->path();
  }
  static oci::Hook shell(const std::string& script) {
    oci::Hook hook;
    hook.path = "/bin/sh";
    hook.args = {"sh", "-c", script};
    return hook;
  }
  Result<> run(std::vector<oci::Hook> list, int default_timeout = 0) const {
    oci::Hooks hooks;
    hooks.create_runtime = std::move(list);
    return run_hooks(hooks, HookPoint::create_runtime, state_, default_timeout);
  }
  std::string written(const std::string& name) const {
    std::ifstream file(dir_->path() + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::optional<sys::TempDir> dir_;
  oci::State state_;
};

TEST_F(Hooks, get_the_state_on_stdin_in_the_bundle) {
  ASSERT_OK(run({shell("cat > state")}));
  auto value = json::parse(written("state"));
  ASSERT_OK(value);
  auto state = oci::parse_state(*value);
  ASSERT_OK(state);
  EXPECT_EQ(state->id, "web");
  EXPECT_EQ(state->pid, 42);
}

TEST_F(Hooks, see_only_their_own_environment) {
  setenv("NEXCAGE_TEST_SECRET", "x", 1);
  oci::Hook hook = shell("env > env");
  hook.env = {"A=1"};
  ASSERT_OK(run({hook}));
  EXPECT_THAT(written("env"), HasSubstr("A=1"));
  EXPECT_THAT(written("env"), testing::Not(HasSubstr("NEXCAGE_TEST_SECRET")));
}

TEST_F(Hooks, run_in_order_and_stop_at_the_first_failure) {
  auto done = run({shell("echo 1 >> order"), shell("echo 2 >> order; echo broken >&2; exit 3"),
                   shell("echo 3 >> order")});
  EXPECT_ERROR(done, Errc::HookError,
               testing::AllOf(HasSubstr("createRuntime hook #1"), HasSubstr("exit status 3"),
                              HasSubstr("broken")));
  EXPECT_EQ(written("order"), "1\n2\n");
}

TEST_F(Hooks, are_killed_with_their_group_after_the_timeout) {
  oci::Hook hook = shell("sleep 30 & wait");
  hook.timeout = 1;
  const auto before = std::chrono::steady_clock::now();
  EXPECT_ERROR(run({hook}), Errc::HookError, HasSubstr("timeout of 1 s"));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
}

TEST_F(Hooks, a_missing_program_is_a_hook_error) {
  oci::Hook hook;
  hook.path = "/nonexistent/hook";
  EXPECT_ERROR(run({hook}), Errc::HookError, HasSubstr("/nonexistent/hook"));
}

TEST_F(Hooks, logged_failures_do_not_keep_later_hooks_from_running) {
  oci::Hooks hooks;
  hooks.poststop = {shell("exit 1"), shell("echo ran > second")};
  run_hooks_logging(hooks, HookPoint::poststop, state_, 0);
  EXPECT_EQ(written("second"), "ran\n");
}

TEST(Poststart, is_fatal_from_1_3_on) {
  EXPECT_FALSE(poststart_is_fatal("1.0.2"));
  EXPECT_FALSE(poststart_is_fatal("1.0.2-dev"));
  EXPECT_FALSE(poststart_is_fatal("1.2.1"));
  EXPECT_TRUE(poststart_is_fatal("1.3.0"));
}

}  // namespace
}  // namespace nexcage::runtime
