// A busybox root file system in a scratch directory and what the backends' tests need around it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/oci/spec.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::testing {

/// Remembers what a backend announced, and undoes it, last first, as the runtime's log does.
class MemoryUndo : public backends::UndoLog {
 public:
  Result<> will_mount(const std::string& path) override { return add('m', path); }
  Result<> will_create_dir(const std::string& path) override { return add('d', path); }
  Result<> will_create_file(const std::string& path) override { return add('f', path); }
  Result<> will_create_cgroup(const std::string& path) override { return add('c', path); }
  Result<> will_run_process(const sys::ProcessId& id) override {
    processes.push_back(id);
    return add('p', std::to_string(processes.size() - 1));
  }
  Result<> will_create_foreign(const backends::Foreign& container) override {
    foreign.push_back(container);
    return add('x', std::to_string(foreign.size() - 1));
  }
  Result<> will_create_unit(const backends::Unit& unit) override {
    units.push_back(unit);
    return add('u', std::to_string(units.size() - 1));
  }
  Result<> will_redirect(const sys::Redirection& redirection) override {
    return add('r', sys::to_text(redirection));
  }
  Result<> undo() {
    NX_TRY(sys::CgroupLayout layout, sys::detect_cgroups());
    for (; !steps.empty(); steps.pop_back()) NX_CHECK(undo_one(layout, steps.back()));
    return {};
  }
  std::vector<std::pair<char, std::string>> steps;
  std::vector<sys::ProcessId> processes;
  std::vector<backends::Foreign> foreign;
  std::vector<backends::Unit> units;

 private:
  Result<> add(char kind, const std::string& what) {
    steps.emplace_back(kind, what);
    return {};
  }
  Result<> undo_one(const sys::CgroupLayout& layout, const std::pair<char, std::string>& step) {
    const auto& [kind, what] = step;
    if (kind == 'd') return sys::remove_tree(what);
    if (kind == 'f') return sys::remove_file(AT_FDCWD, what);
    if (kind == 'c') return sys::Cgroup(layout, what).destroy(std::chrono::seconds(5));
    if (kind == 'x') return undo_foreign(foreign.at(std::stoul(what)));
    if (kind == 'u') {
      sys::Command command;
      command.argv = units.at(std::stoul(what)).stop;
      NX_CHECK(sys::run(command, "", std::chrono::seconds(10)));
      return {};
    }
    if (kind == 'r') {
      const auto redirection = sys::redirection_from(what);
      return redirection ? sys::end_redirection(*redirection) : Result<>();
    }
    if (kind != 'p') return {};
    NX_TRY(auto pidfd, sys::open_process(processes.at(std::stoul(what))));
    if (!pidfd) return {};
    NX_CHECK(sys::send_signal(pidfd->get(), SIGKILL));
    NX_CHECK(sys::wait_exit(pidfd->get(), std::chrono::seconds(5)));
    return {};
  }
  static Result<> undo_foreign(const backends::Foreign& container) {
    NX_TRY(bool there, sys::exists(AT_FDCWD, container.state_dir));
    if (!there) return {};
    sys::Command command;
    command.argv = container.remove;
    command.inherit_env = true;
    NX_CHECK(sys::run(command, "", std::chrono::seconds(10)));
    return sys::remove_tree(container.state_dir);
  }
};

/// One container through the Backend interface; everything is gone when the test ends.
class ContainerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: namespaces, mounts, cgroups";
    if (::access("/bin/busybox", X_OK) != 0) GTEST_SKIP() << "needs the package busybox-static";
    ASSERT_OK(sys::become_subreaper());
    make_scratch();
    make_rootfs();
    spec = oci::default_spec();
    spec.root = oci::Root{.path = rootfs, .readonly = false};
    spec.process->args = {"sleep", "100"};
    spec.process->no_new_privileges = false;
    const backends::Setup wanted = setup();
    if (IsSkipped() || HasFatalFailure()) return;
    auto opened = backends::open(backend_name(), wanted);
    ASSERT_OK(opened);
    if (backend_name() == "crun") let_crun_run();
    auto probed = (*opened)->probe();
    if (!probed && (*opened)->complete()) GTEST_SKIP() << probed.error().message();
    ASSERT_OK(probed);
    backend = *std::move(opened);
  }
  virtual std::string backend_name() const { return "lxc"; }
  void TearDown() override {
    if (backend && record.init.pid != 0)
      expect_ok(backend->remove(record));
    else if (backend)
      expect_ok(undo.undo());
    if (!scratch.empty()) std::filesystem::remove_all(scratch);
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }

  /// May skip the test, or add to what setup() begins with.
  virtual void prepare(backends::Setup&) {}
  backends::Setup setup() {
    backends::Setup setup;
    setup.libexec = NEXCAGE_TEST_LIBEXEC;
    setup.root = scratch;
    setup.cgroup_parent = parent;
    prepare(setup);
    return setup;
  }
  backends::CreateJob job() const {
    backends::CreateJob out{.id = id,
                            .spec = spec,
                            .bundle = scratch,
                            .rootfs = rootfs,
                            .state_dir = scratch + "/state",
                            .console_socket = std::nullopt,
                            .restore = {},
                            .config_file = {},
                            .pid_file = {}};
    out.keep_master = spec.process->terminal;
    return out;
  }
  /// Creates; on success `record` is what the runtime would keep.
  Result<backends::Created> create(const backends::CreateJob& wanted) {
    if (backend->complete()) NX_CHECK(write_config());
    NX_TRY(auto configured, backend->configure(wanted));
    auto created = configured->create(undo, hooks);
    if (!created) return created;
    record.state = {.oci_version = spec.oci_version,
                    .id = id,
                    .status = oci::Status::created,
                    .pid = created->init.pid,
                    .bundle = scratch,
                    .annotations = {}};
    record.init = created->init;
    record.backend = backend_name();
    record.rootfs = rootfs;
    record.state_dir = scratch + "/state";
    record.backend_data = created->backend_data;
    return created;
  }
  Result<backends::Created> create() { return create(job()); }
  Result<> create_and_start() {
    NX_CHECK(create());
    return backend->start(record);
  }
  /// Runs the spec's process to its end; exit code as a shell has it.
  Result<int> run() {
    NX_CHECK(create_and_start());
    return wait_for_init();
  }
  Result<int> wait_for_init() {
    int status = 0;
    // This process is the subreaper: that it can wait at all is the point of a backend without
    // monitor.
    if (::waitpid(record.init.pid, &status, 0) < 0) return fail_errno("wait for init");
    return sys::exit_code(status);
  }
  /// Runs a shell script as the container's process, output into a file that is returned.
  Result<std::string> output_of(const std::string& script) {
    spec.process->args = {"sh", "-c", "exec >/out/text 2>&1; " + script};
    spec.mounts.push_back({.destination = "/out",
                           .type = "bind",
                           .source = scratch + "/out",
                           .options = {"rbind"},
                           .uid_mappings = {},
                           .gid_mappings = {}});
    NX_CHECK(run());
    return sys::read_file(AT_FDCWD, scratch + "/out/text");
  }
  backends::ExecRequest exec_request(std::vector<std::string> args) const {
    backends::ExecRequest request;
    request.process = *spec.process;
    request.process.args = std::move(args);
    return request;
  }

 public:  // for the tests, which are classes of their own
  // Cgroups are the host's, and the pid is that of a sandbox: others may have the same.
  std::string id = "t" + std::to_string(std::random_device{}());
  std::string parent = "nxtest" + std::to_string(std::random_device{}());
  std::string scratch, rootfs;
  oci::Spec spec;
  std::unique_ptr<backends::Backend> backend;
  backends::Record record;
  MemoryUndo undo;
  backends::RunHooks hooks = [](backends::HookPoint, const oci::State&) { return Result<>(); };

 private:
  /// A complete runtime reads the bundle's file itself.
  Result<> write_config() const {
    return sys::write_file_atomic(scratch + "/config.json", json::dump(oci::to_json(spec)), 0600,
                                  sys::Durable::no);
  }
  /// crun 1.8 refuses hybrid hosts whose hierarchy of version 2 has controllers: hugetlb, the only
  /// one on some, is given to version 1. The mount goes with the sandbox; the lock is that of
  /// crun_can_run() in support.py.
  static void let_crun_run() {
    const char* dir = "/sys/fs/cgroup/hugetlb";
    if (!std::filesystem::exists("/sys/fs/cgroup/unified")) return;
    static const int lock = ::open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)::flock(lock, LOCK_SH);
    if (std::filesystem::exists(std::string(dir) + "/cgroup.procs")) return;
    (void)::mkdir(dir, 0755);
    (void)::mount("cgroup", dir, "cgroup", 0, "hugetlb");
  }
  static void expect_ok(const Result<>& done) { EXPECT_OK(done); }
  void make_scratch() {
    char name[] = "/tmp/nxtest-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    scratch = name;
    ASSERT_EQ(::mkdir((scratch + "/state").c_str(), 0700), 0);
    ASSERT_EQ(::mkdir((scratch + "/out").c_str(), 0777), 0);
    ASSERT_EQ(::chmod((scratch + "/out").c_str(), 0777), 0);
  }
  void make_rootfs() {
    rootfs = scratch + "/rootfs";
    for (const char* dir : {"", "/bin", "/proc", "/sys", "/dev", "/tmp", "/etc", "/root"})
      ASSERT_EQ(::mkdir((rootfs + dir).c_str(), 0755), 0) << dir;
    std::filesystem::copy_file("/bin/busybox", rootfs + "/bin/busybox");
    for (const char* applet :
         {"sh",    "cat",      "ls",    "sleep", "id",   "mount", "grep", "readlink", "stat",
          "echo",  "hostname", "touch", "pwd",   "kill", "env",   "wc",   "true",     "tty",
          "mkdir", "head",     "od",    "stty",  "ps",   "dd",    "sort"})
      std::filesystem::create_symlink("busybox", rootfs + "/bin/" + applet);
    std::ofstream(rootfs + "/etc/passwd")
        << "root:x:0:0::/root:/bin/sh\nwww:x:1000:1000::/home/www:/bin/sh\n";
  }
};

/// Waits until `true_now` holds, at most five seconds.
template <class Condition>
bool eventually(Condition true_now) {
  for (int i = 0; i < 500; ++i) {
    if (true_now()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace nexcage::testing
