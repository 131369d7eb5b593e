#include "nexcage/backends/seccomp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "result_matchers.h"

namespace nexcage::backends {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

oci::Seccomp allow_all_but(oci::SeccompSyscall rule) {
  oci::Seccomp seccomp;
  seccomp.default_action = "SCMP_ACT_ALLOW";
  seccomp.syscalls.push_back(std::move(rule));
  return seccomp;
}

oci::SeccompSyscall rule(std::vector<std::string> names, std::string action) {
  oci::SeccompSyscall out;
  out.names = std::move(names);
  out.action = std::move(action);
  return out;
}

/// Loads the filter in a child and returns what `act` returns there, or 128 + the signal that ended
/// it.
int under_filter(const SeccompFilter& filter, int (*act)()) {
  pid_t child = ::fork();
  if (child == 0) {
    std::vector<sock_filter> program(filter.program.size() / sizeof(sock_filter));
    std::memcpy(program.data(), filter.program.data(), filter.program.size());
    sock_fprog header{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(100);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &header) != 0) ::_exit(101);
    ::_exit(act());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int errno_of_getpgid() { return ::syscall(SYS_getpgid, 0) < 0 ? errno : 0; }

TEST(Seccomp, TheKernelDoesWhatTheRuleSays) {
  auto refused = rule({"getpgid"}, "SCMP_ACT_ERRNO");
  auto filter = compile_seccomp(allow_all_but(refused));
  ASSERT_OK(filter);
  EXPECT_EQ(under_filter(*filter, errno_of_getpgid), EPERM);
  refused.errno_ret = ENOSYS;
  filter = compile_seccomp(allow_all_but(refused));
  ASSERT_OK(filter);
  EXPECT_EQ(under_filter(*filter, errno_of_getpgid), ENOSYS);
  filter = compile_seccomp(allow_all_but(rule({"getpgid"}, "SCMP_ACT_KILL_PROCESS")));
  ASSERT_OK(filter);
  EXPECT_EQ(under_filter(*filter, errno_of_getpgid), 128 + SIGSYS);
}

TEST(Seccomp, ArgumentsAreCompared) {
  auto conditional = rule({"getpgid"}, "SCMP_ACT_ERRNO");
  conditional.args = {{.index = 0, .value = 0, .value_two = 0, .op = "SCMP_CMP_EQ"}};
  auto filter = compile_seccomp(allow_all_but(conditional));
  ASSERT_OK(filter);
  EXPECT_EQ(under_filter(*filter, errno_of_getpgid), EPERM);
  conditional.args[0].value = 12345;
  filter = compile_seccomp(allow_all_but(conditional));
  ASSERT_OK(filter);
  EXPECT_EQ(under_filter(*filter, errno_of_getpgid), 0);
  // Two conditions on one argument are alternatives.
  conditional.args.push_back({.index = 0, .value = 0, .value_two = 0, .op = "SCMP_CMP_EQ"});
  filter = compile_seccomp(allow_all_but(conditional));
  ASSERT_OK(filter);
  EXPECT_EQ(under_filter(*filter, errno_of_getpgid), EPERM);
}

TEST(Seccomp, UnknownSystemCallsAreLeftOutAndTold) {
  auto filter = compile_seccomp(allow_all_but(rule({"no_such_call", "getpgid"}, "SCMP_ACT_ERRNO")));
  ASSERT_OK(filter);
  EXPECT_THAT(filter->unknown_syscalls, ElementsAre("no_such_call"));
  EXPECT_EQ(under_filter(*filter, errno_of_getpgid), EPERM);
}

TEST(Seccomp, FlagsAndForeignArchitectures) {
  auto seccomp = allow_all_but(rule({"getpgid"}, "SCMP_ACT_ERRNO"));
  seccomp.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"};
  seccomp.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  auto filter = compile_seccomp(seccomp);
  ASSERT_OK(filter);
  EXPECT_EQ(filter->flags, 6u);
  EXPECT_EQ(under_filter(*filter, errno_of_getpgid), EPERM);
}

TEST(Seccomp, EveryActionCompiles) {
  for (const std::string& action : seccomp_actions()) {
    if (action == "SCMP_ACT_ALLOW") continue;
    auto seccomp = allow_all_but(rule({"getpgid"}, action));
    seccomp.listener_path = "/run/agent";
    EXPECT_OK(compile_seccomp(seccomp));
  }
  EXPECT_THAT(seccomp_architectures(), Contains("SCMP_ARCH_AARCH64"));
}

TEST(Seccomp, NotificationsNeedAListener) {
  auto seccomp = allow_all_but(rule({"getpgid"}, "SCMP_ACT_NOTIFY"));
  EXPECT_ERROR(compile_seccomp(seccomp), Errc::InvalidSpec, HasSubstr("without listenerPath"));
  seccomp.listener_path = "/run/agent";
  seccomp.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"};
  auto filter = compile_seccomp(seccomp);
  ASSERT_OK(filter);
  EXPECT_EQ(filter->flags, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_LOG);
  seccomp.default_action = "SCMP_ACT_NOTIFY";
  EXPECT_ERROR(compile_seccomp(seccomp), Errc::InvalidSpec, HasSubstr("defaultAction"));
}

TEST(Seccomp, AListenerWithoutNotificationsIsNotAskedFor) {
  auto seccomp = allow_all_but(rule({"getpgid"}, "SCMP_ACT_ERRNO"));
  seccomp.listener_path = "/run/agent";
  auto filter = compile_seccomp(seccomp);
  ASSERT_OK(filter);
  EXPECT_EQ(filter->flags, 0u);
}

TEST(Seccomp, RefusesWhatItCannotDo) {
  auto seccomp = allow_all_but(rule({"getpgid"}, "SCMP_ACT_ERRNO"));
  seccomp.flags = {"SECCOMP_FILTER_FLAG_NEW_LISTENER"};
  EXPECT_ERROR(compile_seccomp(seccomp), Errc::Unsupported, HasSubstr("NEW_LISTENER"));
  seccomp.flags.clear();
  seccomp.syscalls[0].action = "SCMP_ACT_WHATEVER";
  EXPECT_ERROR(compile_seccomp(seccomp), Errc::InvalidSpec, HasSubstr("SCMP_ACT_WHATEVER"));
}

}  // namespace
}  // namespace nexcage::backends
