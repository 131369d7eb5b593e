#include "nexcage/cli/foreground.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::cli {
namespace {

Result<sys::Child> shell(const std::string& script) {
  sys::Command command;
  command.argv = {"/bin/sh", "-c", script};
  return sys::Child::spawn(command);
}

/// The gate reaps the child itself; the owner must not do it again.
Result<int> attend_shell(sys::Child child, const SignalGate& gate) {
  auto status = attend(gate, {.pid = child.pid(), .pidfd = child.pidfd()});
  (void)child.release();
  return status;
}

TEST(Attend, returns_the_exit_status) {
  auto gate = SignalGate::close();
  ASSERT_OK(gate);
  auto child = shell("exit 7");
  ASSERT_OK(child);
  const auto status = attend_shell(*std::move(child), *gate);
  ASSERT_OK(status);
  EXPECT_EQ(sys::exit_code(*status), 7);
}

TEST(Attend, a_process_that_ended_before_is_not_missed) {
  auto child = shell("exit 3");
  ASSERT_OK(child);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child->pid()), &info, WEXITED | WNOWAIT), 0);
  auto gate = SignalGate::close();
  ASSERT_OK(gate);
  const auto status = attend_shell(*std::move(child), *gate);
  ASSERT_OK(status);
  EXPECT_EQ(sys::exit_code(*status), 3);
}

TEST(Attend, forwards_signals_that_came_early) {
  auto gate = SignalGate::close();
  ASSERT_OK(gate);
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  sys::Command command;
  command.argv = {"/bin/sh", "-c", "trap 'exit 42' TERM; echo x >&3; while :; do sleep 0.01; done"};
  command.fds = {{ready[1], 3}};
  auto child = sys::Child::spawn(command);
  ASSERT_OK(child);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(kill(getpid(), SIGTERM), 0);
  const auto status = attend_shell(*std::move(child), *gate);
  ASSERT_OK(status);
  EXPECT_EQ(sys::exit_code(*status), 42);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(Attend, says_when_the_process_is_not_ours_to_wait_for) {
  auto gate = SignalGate::close();
  ASSERT_OK(gate);
  const auto status = attend(*gate, {.pid = 1});
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().sys_errno(), ECHILD);
}

TEST(SignalGate, restores_the_mask) {
  sigset_t before;
  sigset_t inside;
  sigset_t after;
  ASSERT_EQ(sigprocmask(SIG_BLOCK, nullptr, &before), 0);
  {
    auto gate = SignalGate::close();
    ASSERT_OK(gate);
    ASSERT_EQ(sigprocmask(SIG_BLOCK, nullptr, &inside), 0);
  }
  ASSERT_EQ(sigprocmask(SIG_BLOCK, nullptr, &after), 0);
  EXPECT_EQ(sigismember(&inside, SIGTERM), 1);
  EXPECT_EQ(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

}  // namespace
}  // namespace nexcage::cli
