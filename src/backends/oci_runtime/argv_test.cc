#include "nexcage/backends/oci_runtime/argv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::backends::oci_runtime {
namespace {

using ::testing::HasSubstr;

struct Job {
  oci::Spec spec = oci::default_spec();
  CreateJob job{.id = "c1",
                .spec = spec,
                .bundle = "/b",
                .rootfs = "/b/rootfs",
                .state_dir = "/run/nexcage/c1",
                .console_socket = {},
                .restore = {},
                .config_file = {},
                .pid_file = {}};
};

TEST(PlanProgram, GlobalsStandBeforeTheVerb) {
  EXPECT_EQ(plan_program({.path = "/usr/bin/crun", .root = "/r/@crun", .options = {}}),
            (Words{"/usr/bin/crun", "--root", "/r/@crun"}));
  EXPECT_EQ(
      plan_program(
          {.path = "runc",
           .root = "/r",
           .options = {.log = "/l", .log_format = "json", .debug = true, .rootless = "false"}}),
      (Words{"runc", "--root", "/r", "--log", "/l", "--log-format", "json", "--debug", "--rootless",
             "false"}));
}

TEST(PlanCreate, NothingMoreThanAsked) {
  const Job made;
  auto words = plan_create(kRunc, made.job, "/p", "");
  ASSERT_OK(words);
  EXPECT_EQ(*words, (Words{"create", "--bundle", "/b", "--pid-file", "/p", "c1"}));
}

TEST(PlanCreate, EveryOptionIsHandedOn) {
  Job made;
  made.job.preserve_fds = 2;
  made.job.pivot = Pivot::move_mount;
  made.job.keyring = Keyring::inherited;
  made.job.config_file = "/elsewhere.json";
  auto words = plan_create(kCrun, made.job, "/p", "/console");
  ASSERT_OK(words);
  EXPECT_EQ(*words, (Words{"create", "--bundle", "/b", "--config", "/elsewhere.json", "--pid-file",
                           "/p", "--console-socket", "/console", "--preserve-fds", "2",
                           "--no-pivot", "--no-new-keyring", "c1"}));
}

TEST(PlanCreate, TheBundlesOwnConfigNeedsNoOption) {
  Job made;
  made.job.config_file = "/b/config.json";
  auto words = plan_create(kRunc, made.job, "/p", "");
  ASSERT_OK(words);
  EXPECT_EQ(words->at(2), "/b");
}

TEST(PlanCreate, RuncTakesOurSpecFromOurDirectory) {
  Job made;
  made.job.config_file = "/run/nexcage/c1/config.json";
  auto words = plan_create(kRunc, made.job, "/p", "");
  ASSERT_OK(words);
  EXPECT_EQ(words->at(2), "/run/nexcage/c1");
}

TEST(PlanCreate, RuncCannotTakeAConfigFromElsewhere) {
  Job made;
  made.job.config_file = "/elsewhere.json";
  EXPECT_ERROR(plan_create(kRunc, made.job, "/p", ""), Errc::Unsupported, HasSubstr("runc"));
}

TEST(PlanRestore, TheVerbsOwnOptionsStandBeforeTheId) {
  Job made;
  made.job.restore = Words{"--image-path", "/i", "--tcp-established"};
  auto words = plan_restore(kRunc, made.job, "/p", "/console");
  ASSERT_OK(words);
  EXPECT_EQ(*words,
            (Words{"restore", "--detach", "--bundle", "/b", "--pid-file", "/p", "--console-socket",
                   "/console", "--image-path", "/i", "--tcp-established", "c1"}));
  made.job.config_file = "/elsewhere.json";
  EXPECT_ERROR(plan_restore(kCrun, made.job, "/p", ""), Errc::Unsupported, HasSubstr("restore"));
}

TEST(PlanCgroupManager, OnlyCrunDoesWithoutCgroups) {
  EXPECT_EQ(*plan_cgroup_manager(kRunc, CgroupManager::cgroupfs), Words{});
  EXPECT_EQ(*plan_cgroup_manager(kRunc, CgroupManager::systemd), Words{"--systemd-cgroup"});
  EXPECT_EQ(*plan_cgroup_manager(kCrun, CgroupManager::disabled),
            (Words{"--cgroup-manager", "disabled"}));
  EXPECT_ERROR(plan_cgroup_manager(kRunc, CgroupManager::disabled), Errc::Unsupported,
               HasSubstr("runc"));
}

TEST(PlanExec, EveryOptionIsHandedOn) {
  ExecRequest request;
  request.detach = true;
  request.pid_file = "/p";
  request.console_socket = "/console";
  request.preserve_fds = 1;
  request.ignore_paused = true;
  request.cgroups = {"cpu:sub", "sub"};
  auto words = plan_exec(kRunc, request, "/process.json", "c1");
  ASSERT_OK(words);
  EXPECT_EQ(*words, (Words{"exec", "--process", "/process.json", "--detach", "--pid-file", "/p",
                           "--console-socket", "/console", "--preserve-fds", "1", "--ignore-paused",
                           "--cgroup", "cpu:sub", "--cgroup", "sub", "c1"}));
  EXPECT_ERROR(plan_exec(kCrun, request, "/process.json", "c1"), Errc::Unsupported,
               HasSubstr("--ignore-paused"));
}

TEST(PlanCgroups, WhereEachRuntimePutsThem) {
  Job made;
  made.spec.linux_->cgroups_path = "";
  EXPECT_EQ(plan_cgroups(kCrun, made.job, {"/own"}), Words{"c1"});
  EXPECT_EQ(plan_cgroups(kRunc, made.job, {"/own", "/", "/own"}), (Words{"own/c1", "c1"}));
  made.spec.linux_->cgroups_path = "/pods/c1";
  EXPECT_EQ(plan_cgroups(kRunc, made.job, {"/own"}), Words{"pods/c1"});
  made.job.cgroup_manager = CgroupManager::systemd;
  EXPECT_EQ(plan_cgroups(kCrun, made.job, {"/own"}), Words{});
}

}  // namespace
}  // namespace nexcage::backends::oci_runtime
