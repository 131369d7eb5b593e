// What every backend promises, run over each that this build has; the others say that they are not
// in it.
#include <sys/wait.h>

#include "container_fixture.h"
#include "machine_kernel.h"

namespace nexcage {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

backends::Setup setup_of(const char* libexec, const char* root) {
  backends::Setup setup;
  setup.libexec = libexec;
  setup.root = root;
  return setup;
}

TEST(Backends, AllNamesOfTheDesignAreThere) {
  const backends::Setup setup = setup_of("/nonexistent", "/nonexistent");
  for (const char* name : {"lxc", "crun", "runc", "vm", "proxmox-lxc", "proxmox-vm"})
    EXPECT_OK(backends::open(name, setup));
}

TEST(Backends, AnUnknownNameGetsASuggestion) {
  auto opened = backends::open("lcx", setup_of("", ""));
  EXPECT_ERROR(opened, Errc::ConfigError, HasSubstr("lcx"));
  EXPECT_THAT(opened.error().hint(), HasSubstr("lxc"));
}

TEST(Backends, WithoutItsHelpersABackendIsNotAvailable) {
  for (const char* name : {"lxc", "vm"}) {
    SCOPED_TRACE(name);
    auto opened = backends::open(name, setup_of("/nonexistent", "/tmp"));
    ASSERT_OK(opened);
    EXPECT_ERROR((*opened)->probe(), Errc::RuntimeNotAvailable, HasSubstr("missing"));
  }
}

TEST(Backends, WithoutItsProgramARuntimeIsNotAvailable) {
  backends::Setup setup = setup_of("", "/tmp");
  setup.crun = "/nonexistent/crun";
  auto opened = backends::open("crun", setup);
  ASSERT_OK(opened);
  auto probed = (*opened)->probe();
  EXPECT_ERROR(probed, Errc::RuntimeNotAvailable, HasSubstr("/nonexistent/crun"));
  EXPECT_THAT(probed.error().hint(), HasSubstr("install the package crun"));
}

/// Parameter: the backend's name. A backend that joins this build is added to the list below.
class BackendContract : public testing::ContainerTest,
                        public ::testing::WithParamInterface<const char*> {
 protected:
  std::string backend_name() const override { return GetParam(); }
  bool is_machine() const { return backend_name() == "vm"; }
  void prepare(backends::Setup& setup) override {
    if (!is_machine()) return;
    if (!std::filesystem::exists("/usr/bin/qemu-system-x86_64"))
      GTEST_SKIP() << "needs the package qemu-system-x86";
    static const auto kernel = testing::kernel_for_tests();
    if (!kernel && kernel.error().code() == Errc::RuntimeNotAvailable)
      GTEST_SKIP() << kernel.error().message();
    ASSERT_OK(kernel);
    setup.vm.kernel = kernel->kernel;
    setup.vm.initrd = kernel->initrd;
    setup.vm.accelerator = "tcg";
    setup.vm.memory = "128m";
    setup.vm.boot_timeout = 280;  // emulated, on a busy host
  }
  /// What a failure in the container is to this backend.
  Errc failure() const { return backend->complete() ? Errc::RuntimeError : Errc::LXCError; }
};

TEST_P(BackendContract, NameAndFeaturesAgree) {
  EXPECT_EQ(backend->name(), GetParam());
  // A path of the host, where that hook is from, means nothing in another kernel.
  EXPECT_THAT(backend->features().hooks,
              Contains(is_machine() ? "startContainer" : "createContainer"));
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
  // What waits in the place of the process is the runtime's own: crun's lets TERM pass as the first
  // process of a pid namespace may, runc's ends with a code of its own.
  const int signal = backend->complete() ? SIGKILL : SIGTERM;
  ASSERT_OK(backend->kill(record, signal, false));
  EXPECT_EQ(*wait_for_init(), 128 + signal);
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

TEST_P(BackendContract, MissingProgramIsSaidInTheWordsThatEnginesLookFor) {
  spec.process->args = {"nosuchprogram"};
  EXPECT_ERROR(create(), failure(),
               AllOf(HasSubstr("executable file"), HasSubstr("nosuchprogram"),
                     HasSubstr("not found in $PATH")));
  ASSERT_OK(undo.undo());
}

TEST_P(BackendContract, MissingPathIsSaidInTheWordsThatEnginesLookFor) {
  spec.process->args = {"/no/such"};
  EXPECT_ERROR(create(), failure(),
               AllOf(HasSubstr("/no/such"), ContainsRegex("[nN]o such file or directory")));
  ASSERT_OK(undo.undo());
}

TEST_P(BackendContract, ExecOfAMissingProgramFailsBeforeReturning) {
  ASSERT_OK(create_and_start());
  auto started = backend->exec(record, spec, exec_request({"nosuch"}));
  if (!backend->complete()) {
    EXPECT_ERROR(started, Errc::LXCError, HasSubstr("executable file not found in $PATH"));
    return;
  }
  // The runtime itself says it, and ends with its own code.
  ASSERT_OK(started);
  auto status = started->child.wait();
  ASSERT_OK(status);
  EXPECT_NE(sys::exit_code(*status), 0);
  // crun leaves its own child to the subreaper, which we are; the container's first process cannot
  // end before that is reaped.
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
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
  // A complete runtime runs them itself: a second time would be once too often.
  if (backend->complete())
    EXPECT_TRUE(seen.empty());
  else
    EXPECT_EQ(seen, (std::vector<std::string>{"prestart", "createRuntime"}));
}

TEST_P(BackendContract, AFailingHookFailsCreation) {
  hooks = [](backends::HookPoint, const oci::State&) {
    return Result<>(fail(Errc::HookError, "hook /bin/false"));
  };
  oci::Hook hook;
  hook.path = "/bin/false";
  if (backend->complete()) spec.hooks.create_runtime.push_back(std::move(hook));
  EXPECT_ERROR(create(), Errc::HookError, HasSubstr("hook"));
  ASSERT_OK(undo.undo());
}

INSTANTIATE_TEST_SUITE_P(All, BackendContract, ::testing::Values("lxc", "crun", "runc", "vm"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace nexcage
