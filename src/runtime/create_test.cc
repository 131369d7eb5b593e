// The creation flow over a backend that fails where it is told to: whatever fails, nothing is left.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using backends::HookPoint;
using testing::HasSubstr;

enum class Fail { nowhere, probe, configure, create_early, create_late };

/// Shared with the test: what the double saw and made.
struct Script {
  Fail fail = Fail::nowhere;
  oci::Status status = oci::Status::created;
  std::string made;  // a directory that `create` makes, recorded in the undo log
  int removed = 0;
  std::vector<std::string> calls;
};

class FakeConfigured final : public backends::Configured {
 public:
  FakeConfigured(Script& script, const backends::CreateJob& job)
      : script_(script), id_(job.id), bundle_(job.bundle) {}
  std::string describe() const override { return "fake"; }
  Result<backends::Created> create(backends::UndoLog& undo,
                                   const backends::RunHooks& hooks) override {
    if (script_.fail == Fail::create_early) return fail(Errc::LXCError, "early");
    NX_CHECK(undo.will_create_dir(script_.made));
    NX_CHECK(sys::mkdirs(script_.made, 0700));
    oci::State state;
    state.oci_version = "1.0.2";
    state.id = id_;
    state.bundle = bundle_;
    NX_CHECK(hooks(HookPoint::prestart, state));
    NX_CHECK(hooks(HookPoint::create_runtime, state));
    if (script_.fail == Fail::create_late) return fail(Errc::LXCError, "late");
    backends::Created created;
    created.init = {4242, 1};
    return created;
  }

 private:
  Script& script_;
  std::string id_, bundle_;
};

class FakeBackend final : public backends::Backend {
 public:
  explicit FakeBackend(Script& script) : script_(script) {}
  std::string_view name() const override { return "fake"; }
  Result<> probe() const override {
    if (script_.fail == Fail::probe) return fail(Errc::RuntimeNotAvailable, "probe");
    return {};
  }
  backends::Features features() const override { return {}; }
  Result<std::unique_ptr<backends::Configured>> configure(
      const backends::CreateJob& job) const override {
    if (script_.fail == Fail::configure) return fail(Errc::InvalidConfig, "configure");
    return std::make_unique<FakeConfigured>(script_, job);
  }
  Result<> start(const backends::Record&) const override {
    script_.calls.emplace_back("start");
    script_.status = oci::Status::running;
    return {};
  }
  Result<oci::Status> status(const backends::Record&) const override { return script_.status; }
  Result<> kill(const backends::Record&, int signal, bool) const override {
    script_.calls.push_back("kill " + std::to_string(signal));
    return {};
  }
  Result<backends::ExecStarted> exec(const backends::Record&, const oci::Spec&,
                                     const backends::ExecRequest&) const override {
    return fail(Errc::Unsupported, "exec");
  }
  Result<> pause(const backends::Record&) const override {
    script_.calls.emplace_back("pause");
    return {};
  }
  Result<> resume(const backends::Record&) const override {
    script_.calls.emplace_back("resume");
    return {};
  }
  Result<std::vector<pid_t>> processes(const backends::Record&) const override {
    return std::vector<pid_t>{};
  }
  Result<> update(const backends::Record&, const oci::Resources& resources) const override {
    script_.calls.push_back("update " + std::to_string(resources.pids_limit.value_or(0)));
    return {};
  }
  Result<sys::CgroupLayout> cgroup_dirs(const backends::Record&) const override {
    return sys::CgroupLayout{};
  }
  Result<> remove(const backends::Record&) const override {
    ++script_.removed;
    return sys::remove_tree(script_.made);
  }

 private:
  Script& script_;
};

class Create : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create("/tmp", "create-test");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
    ASSERT_OK(sys::mkdirs(path("bundle/rootfs"), 0755));
    Settings settings;
    settings.root = path("run");
    settings.network = "none";
    settings.images = path("images");
    settings.containers = path("containers");
    settings.layers = path("layers");
    auto services = Services::open(settings);
    ASSERT_OK(services);
    services_ = std::move(*services);
    script_.made = path("made-by-backend");
    services_.open_backend =
        [this](const std::string&) -> Result<std::unique_ptr<backends::Backend>> {
      return std::make_unique<FakeBackend>(script_);
    };
    write_spec({});
  }

  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  bool exists(const std::string& name) const { return access(path(name).c_str(), F_OK) == 0; }

  void write_spec(const oci::Hooks& hooks, const std::string& version = "1.0.2") const {
    oci::Spec spec = oci::default_spec();
    spec.oci_version = version;
    spec.hooks = hooks;
    std::ofstream(path("bundle/config.json")) << json::dump(oci::to_json(spec));
  }
  Request request(const std::string& id = "web") const {
    Request made;
    made.id = id;
    made.source = BundleSource{path("bundle"), ""};
    made.pid_file = path("pid");
    return made;
  }
  void expect_nothing_left() const {
    auto undo = sys::open_at(AT_FDCWD, path("run/@undo"), O_RDONLY | O_DIRECTORY);
    ASSERT_OK(undo);
    auto logs = sys::list_dir(undo->get());
    ASSERT_OK(logs);
    EXPECT_THAT(*logs, testing::IsEmpty());
    EXPECT_FALSE(exists("run/web"));
    EXPECT_FALSE(exists("images/containers/web"));
    EXPECT_FALSE(exists("made-by-backend"));
    EXPECT_FALSE(exists("pid"));
  }

  std::optional<sys::TempDir> dir_;
  Script script_;
  Services services_;
};

TEST_F(Create, writes_state_metadata_and_pid_file) {
  auto made = create(request(), services_);
  ASSERT_OK(made);
  EXPECT_EQ(made->record.state.status, oci::Status::created);
  EXPECT_TRUE(exists("images/containers/web/info.json"));
  std::ifstream pid(path("pid"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(pid), {}), "4242");
  struct stat st{};
  ASSERT_EQ(stat(path("run/web").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0700U);
  auto found = find("web", services_);
  ASSERT_OK(found);
  EXPECT_EQ(found->init.pid, 4242);
}

class CreateFails : public Create, public testing::WithParamInterface<Fail> {};

TEST_P(CreateFails, and_nothing_is_left) {
  script_.fail = GetParam();
  EXPECT_FALSE(create(request(), services_).has_value());
  expect_nothing_left();
  script_.fail = Fail::nowhere;
  EXPECT_OK(create(request(), services_));  // the id is free again
}

INSTANTIATE_TEST_SUITE_P(Each, CreateFails,
                         testing::Values(Fail::probe, Fail::configure, Fail::create_early,
                                         Fail::create_late));

TEST_F(Create, a_failing_hook_takes_everything_back) {
  oci::Hook hook;
  hook.path = "/bin/false";
  oci::Hooks hooks;
  hooks.create_runtime = {hook};
  write_spec(hooks);
  EXPECT_ERROR(create(request(), services_), Errc::HookError, HasSubstr("createRuntime"));
  expect_nothing_left();
}

TEST_F(Create, an_unwritable_pid_file_takes_everything_back) {
  Request bad = request();
  bad.pid_file = path("no/such/dir/pid");
  EXPECT_ERROR(create(bad, services_), Errc::FileError, HasSubstr("pid file"));
  expect_nothing_left();
}

TEST_F(Create, a_second_container_of_the_same_id_is_refused_and_the_first_unharmed) {
  ASSERT_OK(create(request(), services_));
  auto again = create(request(), services_);
  EXPECT_ERROR(again, Errc::ContainerExists, HasSubstr("web"));
  EXPECT_OK(find("web", services_));
  EXPECT_TRUE(exists("made-by-backend"));
  EXPECT_TRUE(exists("pid"));
}

TEST_F(Create, refuses_bad_input_with_the_right_code) {
  Request bad = request("../x");
  EXPECT_ERROR(create(bad, services_), Errc::InvalidSpec, HasSubstr("x"));
  bad = request();
  bad.source = BundleSource{path("nowhere"), ""};
  EXPECT_ERROR(create(bad, services_), Errc::BundleNotFound, HasSubstr("nowhere"));
  bad = request();
  bad.console_socket = "/s";
  EXPECT_ERROR(create(bad, services_), Errc::InvalidSpec, HasSubstr("console socket"));
  std::ofstream(path("bundle/config.json")) << "{";
  EXPECT_ERROR(create(request(), services_), Errc::InvalidJson, HasSubstr("config.json"));
  write_spec({}, "2.0.0");
  EXPECT_ERROR(create(request(), services_), Errc::InvalidSpec, HasSubstr("/ociVersion"));
  ASSERT_EQ(unlink(path("bundle/config.json").c_str()), 0);
  EXPECT_ERROR(create(request(), services_), Errc::BundleNotFound, HasSubstr("config.json"));
  write_spec({});
  ASSERT_EQ(rmdir(path("bundle/rootfs").c_str()), 0);
  EXPECT_ERROR(create(request(), services_), Errc::InvalidRootfs, HasSubstr("rootfs"));
  expect_nothing_left();
}

TEST_F(Create, start_needs_a_created_container) {
  ASSERT_OK(create(request(), services_));
  ASSERT_OK(start("web", services_));
  EXPECT_ERROR(start("web", services_), Errc::InvalidState, HasSubstr("running"));
}

TEST_F(Create, a_failing_poststart_hook_warns_or_kills_as_the_version_says) {
  oci::Hook hook;
  hook.path = "/bin/false";
  oci::Hooks hooks;
  hooks.poststart = {hook};
  write_spec(hooks);
  ASSERT_OK(create(request(), services_));
  EXPECT_OK(start("web", services_));
  ASSERT_OK(remove("web", true, services_));

  script_.status = oci::Status::created;
  write_spec(hooks, "1.3.0");
  ASSERT_OK(create(request(), services_));
  EXPECT_ERROR(start("web", services_), Errc::HookError, HasSubstr("poststart"));
  EXPECT_THAT(script_.calls, testing::Contains("kill 9"));
}

TEST_F(Create, verbs_refuse_what_the_state_does_not_allow) {
  ASSERT_OK(create(request(), services_));
  script_.status = oci::Status::stopped;
  EXPECT_ERROR(kill("web", 15, false, services_), Errc::InvalidState, HasSubstr("not running"));
  EXPECT_ERROR(pause("web", services_), Errc::InvalidState, HasSubstr("stopped"));
  EXPECT_ERROR(resume("web", services_), Errc::InvalidState, HasSubstr("stopped"));
  EXPECT_ERROR(exec("web", {}, services_), Errc::InvalidState, HasSubstr("not running"));
  EXPECT_ERROR(find("other", services_), Errc::ContainerNotFound, HasSubstr("other"));
}

TEST_F(Create, remove_takes_everything_and_runs_poststop) {
  oci::Hook hook;
  hook.path = "/bin/sh";
  hook.args = {"sh", "-c", "echo gone > poststop"};
  oci::Hooks hooks;
  hooks.poststop = {hook};
  write_spec(hooks);
  Request no_pid_file = request();
  no_pid_file.pid_file.clear();
  ASSERT_OK(create(no_pid_file, services_));
  EXPECT_ERROR(remove("web", false, services_), Errc::InvalidState, HasSubstr("created"));
  script_.status = oci::Status::stopped;
  ASSERT_OK(remove("web", false, services_));
  EXPECT_EQ(script_.removed, 1);
  EXPECT_TRUE(exists("bundle/poststop"));
  expect_nothing_left();
  EXPECT_ERROR(remove("web", false, services_), Errc::ContainerNotFound, HasSubstr("web"));
  EXPECT_OK(remove("web", true, services_));
}

TEST_F(Create, list_is_sorted_and_leaves_unreadable_ones_out) {
  Request a = request("b");
  a.pid_file.clear();
  ASSERT_OK(create(a, services_));
  a.id = "a";
  ASSERT_OK(create(a, services_));
  ASSERT_OK(sys::mkdirs(path("run/empty"), 0700));
  auto listed = list(services_);
  ASSERT_OK(listed);
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ((*listed)[0].state.id, "a");
  EXPECT_EQ((*listed)[1].state.id, "b");
}

TEST_F(Create, storage_that_is_not_there_is_refused) {
  oci::Spec spec = oci::default_spec();
  spec.annotations["proxmox.storage"] = "zfs:tank";
  std::ofstream(path("bundle/config.json")) << json::dump(oci::to_json(spec));
  EXPECT_ERROR(create(request(), services_), Errc::ConfigError, HasSubstr("zfs:tank"));
  expect_nothing_left();
}

TEST_F(Create, a_bundle_keeps_its_files_whatever_the_default_storage_is) {
  services_.settings.storage = "raw";
  ASSERT_OK(create(request(), services_));
  EXPECT_FALSE(*sys::exists(AT_FDCWD, path("bundle/web.raw")));
}

}  // namespace
}  // namespace nexcage::runtime
