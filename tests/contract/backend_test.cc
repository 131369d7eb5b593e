// What every backend promises, run over each that this build has; the others say that they are not
// in it.
#include "container_fixture.h"

namespace nexcage {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;

TEST(Backends, NamesOfTheDesignAreKnownButNotAllInThisBuild) {
  const backends::Setup setup{.libexec = "/nonexistent", .root = "/nonexistent"};
  EXPECT_OK(backends::open("lxc", setup));
  for (const char* name : {"crun", "runc", "vm", "proxmox-lxc", "proxmox-vm"})
    EXPECT_ERROR(backends::open(name, setup), Errc::Unsupported, HasSubstr("not in this build"));
}

TEST(Backends, AnUnknownNameGetsASuggestion) {
  auto opened = backends::open("lcx", {.libexec = "", .root = ""});
  EXPECT_ERROR(opened, Errc::ConfigError, HasSubstr("lcx"));
  EXPECT_THAT(opened.error().hint(), HasSubstr("lxc"));
}

TEST(Backends, WithoutItsHelpersABackendIsNotAvailable) {
  auto opened = backends::open("lxc", {.libexec = "/nonexistent", .root = "/tmp"});
  ASSERT_OK(opened);
  EXPECT_ERROR((*opened)->probe(), Errc::RuntimeNotAvailable, HasSubstr("missing"));
}

/// Parameter: the backend's name. A backend that joins this build is added to the list below.
class BackendContract : public testing::ContainerTest,
                        public ::testing::WithParamInterface<const char*> {};

TEST_P(BackendContract, NameAndFeaturesAgree) {
  EXPECT_EQ(backend->name(), GetParam());
  EXPECT_THAT(backend->features().hooks, Contains("createContainer"));
  EXPECT_THAT(backend->features().namespaces, Contains("pid"));
}

TEST_P(BackendContract, ConfigureTouchesNothing) {
  auto configured = backend->configure(job());
  ASSERT_OK(configured);
  EXPECT_FALSE((*configured)->describe().empty());
  EXPECT_TRUE(undo.steps.empty());
  EXPECT_TRUE(std::filesystem::is_empty(scratch + "/state"));
}

TEST_P(BackendContract, LifeCycle) {
  ASSERT_OK(create());
  EXPECT_EQ(*backend->status(record), oci::Status::created);
  ASSERT_OK(backend->start(record));
  EXPECT_EQ(*backend->status(record), oci::Status::running);
  EXPECT_THAT(*backend->processes(record), Contains(record.init.pid));
  ASSERT_OK(backend->kill(record, SIGKILL, false));
  EXPECT_EQ(*wait_for_init(), 128 + SIGKILL);
  EXPECT_EQ(*backend->status(record), oci::Status::stopped);
  ASSERT_OK(backend->remove(record));
  EXPECT_OK(backend->remove(record));  // gone already is success
}

TEST_P(BackendContract, ExitStatusReachesTheSubreaper) {
  spec.process->args = {"sh", "-c", "exit 42"};
  auto code = run();
  ASSERT_OK(code);
  EXPECT_EQ(*code, 42);
}

TEST_P(BackendContract, StartTwiceIsRefused) {
  ASSERT_OK(create_and_start());
  EXPECT_ERROR(backend->start(record), Errc::InvalidState, HasSubstr("not waiting"));
}

TEST_P(BackendContract, KillOfAStoppedContainerIsRefused) {
  spec.process->args = {"true"};
  ASSERT_OK(run());
  EXPECT_ERROR(backend->kill(record, SIGTERM, false), Errc::InvalidState, HasSubstr("not running"));
}

TEST_P(BackendContract, ACreatedContainerCanBeStopped) {
  ASSERT_OK(create());
  ASSERT_OK(backend->kill(record, SIGTERM, false));
  EXPECT_EQ(*wait_for_init(), 128 + SIGTERM);
  EXPECT_EQ(*backend->status(record), oci::Status::stopped);
}

TEST_P(BackendContract, PauseAndResume) {
  ASSERT_OK(create_and_start());
  ASSERT_OK(backend->pause(record));
  EXPECT_EQ(*backend->status(record), oci::Status::paused);
  ASSERT_OK(backend->resume(record));
  EXPECT_EQ(*backend->status(record), oci::Status::running);
}

TEST_P(BackendContract, ExecPassesTheExitCodeOn) {
  ASSERT_OK(create_and_start());
  auto started = backend->exec(record, spec, exec_request({"sh", "-c", "exit 7"}));
  ASSERT_OK(started);
  auto status = started->child.wait();
  ASSERT_OK(status);
  EXPECT_EQ(sys::exit_code(*status), 7);
}

TEST_P(BackendContract, MissingProgramIsSaidInTheWordsOfGo) {
  spec.process->args = {"nosuchprogram"};
  EXPECT_ERROR(create(), Errc::LXCError,
               HasSubstr("exec: \"nosuchprogram\": executable file not found in $PATH"));
  ASSERT_OK(undo.undo());
}

TEST_P(BackendContract, MissingPathIsSaidInTheWordsOfGo) {
  spec.process->args = {"/no/such"};
  EXPECT_ERROR(create(), Errc::LXCError, HasSubstr("stat /no/such: no such file or directory"));
  ASSERT_OK(undo.undo());
}

TEST_P(BackendContract, ExecOfAMissingProgramFailsBeforeReturning) {
  ASSERT_OK(create_and_start());
  EXPECT_ERROR(backend->exec(record, spec, exec_request({"nosuch"})), Errc::LXCError,
               HasSubstr("executable file not found in $PATH"));
}

TEST_P(BackendContract, HooksOfTheRuntimeSeeTheRealPid) {
  std::vector<std::string> seen;
  hooks = [&](backends::HookPoint point, const oci::State& state) -> Result<> {
    seen.emplace_back(backends::hook_point_name(point));
    EXPECT_EQ(state.id, id);
    EXPECT_EQ(state.status, oci::Status::created);
    EXPECT_EQ(::kill(state.pid, 0), 0);
    return {};
  };
  ASSERT_OK(create());
  EXPECT_EQ(seen, (std::vector<std::string>{"prestart", "createRuntime"}));
}

TEST_P(BackendContract, AFailingHookFailsCreation) {
  hooks = [](backends::HookPoint, const oci::State&) {
    return Result<>(fail(Errc::HookError, "no"));
  };
  EXPECT_ERROR(create(), Errc::HookError, HasSubstr("no"));
  ASSERT_OK(undo.undo());
}

INSTANTIATE_TEST_SUITE_P(All, BackendContract, ::testing::Values("lxc"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace nexcage
