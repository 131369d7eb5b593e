#include "nexcage/backends/lxc/backend.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nexcage/backends/cgroup_limits.h"
#include "nexcage/backends/host_cgroups.h"
#include "nexcage/backends/lxc/channel.h"
#include "nexcage/backends/lxc/create.h"
#include "nexcage/backends/lxc/exec.h"
#include "nexcage/backends/lxc/fields.h"
#include "nexcage/backends/lxc/plan.h"
#include "nexcage/backends/lxc/systemd_run.h"
#include "nexcage/backends/own.h"
#include "nexcage/backends/seccomp.h"
#include "nexcage/sys/caps.h"
#include "nexcage/sys/cgroup_stats.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::lxc {
namespace {

std::string start_socket(const Record& record) { return record.state_dir + "/" + kStartSocket; }

std::unexpected<Error> not_running() { return fail(Errc::InvalidState, "container not running"); }

/// With the first process of a pid namespace all others are gone, too: its end is waited for here,
/// where the kernel tells, and not by looking into the cgroup again and again.
Result<> end_process(const sys::ProcessId& id) {
  constexpr std::chrono::milliseconds kPatience(100);  // a frozen one has to be thawed first
  NX_TRY(auto pidfd, sys::open_process(id));
  if (!pidfd) return {};
  NX_CHECK(sys::send_signal(pidfd->get(), SIGKILL));
  NX_CHECK(sys::wait_exit(pidfd->get(), kPatience));
  return {};
}

Result<> check_cgroup_manager(CgroupManager manager, const std::string& libexec) {
  if (manager == CgroupManager::systemd) return check_systemd(libexec);
  if (manager == CgroupManager::cgroupfs) return {};
  return fail(Errc::Unsupported, "--cgroup-manager disabled: containers always have a cgroup");
}

class LxcBackend : public Backend {
 public:
  explicit LxcBackend(Setup setup) : setup_(std::move(setup)) {}

  std::string_view name() const override { return "lxc"; }
  Result<> probe() const override;
  Features features() const override;
  Result<std::unique_ptr<Configured>> configure(const CreateJob& job) const override;
  Result<> start(const Record& record) const override;
  Result<oci::Status> status(const Record& record) const override;
  Result<> kill(const Record& record, int signal, bool all) const override;
  Result<ExecStarted> exec(const Record& record, const oci::Spec& spec,
                           const ExecRequest& request) const override;
  Result<> pause(const Record& record) const override;
  Result<> resume(const Record& record) const override;
  Result<std::vector<pid_t>> processes(const Record& record) const override;
  Result<> update(const Record& record, const oci::Resources& resources) const override;
  Result<sys::CgroupLayout> cgroup_dirs(const Record& record) const override;
  Result<> announce_removal(UndoLog& undo, const Record& record) const override;
  Result<> remove(const Record& record) const override;

 private:
  Result<sys::Cgroup> cgroup_of(const Record& record) const {
    NX_TRY(const std::string path, recorded_cgroup(record));
    return cgroups_.at(path);
  }

  Setup setup_;
  HostCgroups cgroups_;
};

Result<> LxcBackend::probe() const {
  if (setup_.invocation.rootless == "true")
    return fail(Error(Errc::Unsupported, "--rootless true: the backend lxc needs root")
                    .hint("leave the option away, or take a bundle and --runtime crun or runc"));
  return probe_own("lxc", setup_, {"lxc", "init"},
                   "install nexcage with its libexec directory, and the package liblxc1");
}

Features LxcBackend::features() const {
  Features out;
  out.pause = out.exec = out.terminal = out.update = out.systemd_cgroup = true;
  for (HookPoint point :
       {HookPoint::prestart, HookPoint::create_runtime, HookPoint::create_container,
        HookPoint::start_container, HookPoint::poststart, HookPoint::poststop})
    out.hooks.emplace_back(hook_point_name(point));
  for (auto type : {oci::NamespaceType::cgroup, oci::NamespaceType::ipc, oci::NamespaceType::mount,
                    oci::NamespaceType::network, oci::NamespaceType::pid, oci::NamespaceType::time,
                    oci::NamespaceType::user, oci::NamespaceType::uts})
    out.namespaces.emplace_back(oci::namespace_name(type));
  out.mount_options = {"async",       "atime",          "bind",     "copy-symlink", "defaults",
                       "dev",         "diratime",       "dirsync",  "exec",         "idmap",
                       "lazytime",    "mand",           "noatime",  "nodev",        "nodiratime",
                       "noexec",      "nolazytime",     "nomand",   "norelatime",   "nostrictatime",
                       "nosuid",      "nosymfollow",    "private",  "ratime",       "rbind",
                       "rdev",        "rdiratime",      "relatime", "remount",      "rexec",
                       "ridmap",      "rnoatime",       "rnodev",   "rnodiratime",  "rnoexec",
                       "rnorelatime", "rnostrictatime", "rnosuid",  "rnosymfollow", "ro",
                       "rprivate",    "rrelatime",      "rro",      "rrw",          "rshared",
                       "rslave",      "rstrictatime",   "rsuid",    "rsymfollow",   "runbindable",
                       "rw",          "shared",         "silent",   "slave",        "strictatime",
                       "suid",        "symfollow",      "sync",     "tmpcopyup",    "unbindable"};
  for (int number = 0; number < sys::capability_count(); ++number)
    out.capabilities.emplace_back(sys::capability_name(number));
  out.seccomp_actions = seccomp_actions();
  out.seccomp_archs = seccomp_architectures();
  for (const Field& field : fields())
    if (field.applied == Applied::refused) out.unsupported_fields.emplace_back(field.pointer);
  return out;
}

Result<std::unique_ptr<Configured>> LxcBackend::configure(const CreateJob& job) const {
  NX_CHECK(check_cgroup_manager(job.cgroup_manager, setup_.libexec));
  if (job.restore) return fail(no_checkpoint(name()));
  NX_TRY(HostFacts facts, read_host_facts());
  NX_TRY(CreatePlan plan, plan_create(job, facts, setup_.cgroup_parent));
  return make_configured(job, setup_, std::move(facts), std::move(plan));
}

Result<> LxcBackend::start(const Record& record) const {
  auto channel = sys::connect_unix(start_socket(record), SOCK_SEQPACKET);
  if (!channel) {
    const int error = channel.error().sys_errno();
    if (error != ENOENT && error != ECONNREFUSED) return fail(std::move(channel).error());
    return fail(Errc::InvalidState, "the container is not waiting to be started");
  }
  // The socket has served, whatever comes of it: a container whose start failed has ended.
  NX_CHECK(sys::remove_file(AT_FDCWD, start_socket(record)));
  auto executed =
      await_execution(channel->get(), {.path = record.backend_data.text("seccomp_listener"),
                                       .metadata = record.backend_data.text("seccomp_metadata"),
                                       .state = record.state,
                                       .pid = record.init.pid});
  // Also when nobody took its seccomp notifications: it must not go on without.
  if (!executed) NX_CHECK(end_process(record.init));
  return executed;
}

Result<oci::Status> LxcBackend::status(const Record& record) const {
  if (record.init.pid == 0) return oci::Status::creating;
  NX_TRY(bool alive, sys::is_alive(record.init));
  if (!alive) return oci::Status::stopped;
  if (const auto cgroup = cgroup_of(record))
    if (const auto frozen = cgroup->frozen(); frozen && *frozen) return oci::Status::paused;
  // Written when it had been started; that was the socket's end.
  if (record.state.status == oci::Status::running) return oci::Status::running;
  NX_TRY(bool waiting, sys::exists(AT_FDCWD, start_socket(record)));
  return waiting ? oci::Status::created : oci::Status::running;
}

Result<> LxcBackend::kill(const Record& record, int signal, bool all) const {
  if (all) {
    NX_TRY(const sys::Cgroup cgroup, cgroup_of(record));
    return cgroup.signal_all(signal);
  }
  NX_TRY(auto pidfd, sys::open_process(record.init));
  if (!pidfd) return not_running();
  NX_TRY(bool sent, sys::send_signal(pidfd->get(), signal));
  if (!sent) return not_running();
  return {};
}

Result<ExecStarted> LxcBackend::exec(const Record& record, const oci::Spec& spec,
                                     const ExecRequest& request) const {
  NX_TRY(HostFacts facts, read_host_facts());
  return execute_in(record, spec, request, setup_, facts);
}

Result<> LxcBackend::pause(const Record& record) const {
  NX_TRY(bool alive, sys::is_alive(record.init));
  if (!alive) return not_running();
  NX_TRY(const sys::Cgroup cgroup, cgroup_of(record));
  return cgroup.freeze();
}

Result<> LxcBackend::resume(const Record& record) const {
  NX_TRY(bool alive, sys::is_alive(record.init));
  if (!alive) return not_running();
  NX_TRY(const sys::Cgroup cgroup, cgroup_of(record));
  return cgroup.thaw();
}

Result<std::vector<pid_t>> LxcBackend::processes(const Record& record) const {
  NX_TRY(const sys::Cgroup cgroup, cgroup_of(record));
  return cgroup.processes();
}

Result<> LxcBackend::update(const Record& record, const oci::Resources& resources) const {
  NX_TRY(std::string path, recorded_cgroup(record));
  NX_TRY(sys::CgroupLayout layout, sys::detect_cgroups());
  const sys::Cgroup cgroup(layout, path);
  const std::string unit = record.backend_data.text("unit");
  if (unit.empty()) return update_cgroup(cgroup, layout, resources);
  NX_TRY(const auto limits, plan_cgroup_limits(resources, layout, read_limits_in_force(cgroup)));
  NX_TRY(const auto properties, plan_unit_limits(limits));
  NX_CHECK(update_cgroup(cgroup, layout, resources));
  return set_unit(setup_.libexec, unit, properties);
}

Result<sys::CgroupLayout> LxcBackend::cgroup_dirs(const Record& record) const {
  NX_TRY(std::string path, recorded_cgroup(record));
  NX_TRY(sys::CgroupLayout layout, sys::detect_cgroups());
  return sys::cgroup_dirs(layout, path);
}

Result<> LxcBackend::announce_removal(UndoLog& undo, const Record& record) const {
  const std::string name = record.backend_data.text("unit");
  if (name.empty()) return {};
  return undo.will_create_unit(undo_of(
      setup_.libexec, {.slice = "", .name = name, .cgroup = record.backend_data.text("cgroup")}));
}

Result<> LxcBackend::remove(const Record& record) const {
  constexpr std::chrono::seconds kPatience(10);
  NX_TRY(sys::CgroupLayout layout, sys::detect_cgroups());
  // Without cgroups of its own (a damaged record) the process is still ours to end.
  NX_CHECK(end_process(record.init));
  // Only alone: a container being created next to us may be about to use the common parent.
  auto lock = lock_cgroups(setup_.root, LOCK_EX | LOCK_NB);
  const std::string path = record.backend_data.text("cgroup");
  const std::string unit = record.backend_data.text("unit");
  if (!unit.empty()) {
    // Or systemd would first ask politely, and wait.
    NX_CHECK(sys::Cgroup(layout, path).signal_all(SIGKILL));
    NX_CHECK(stop_unit(setup_.libexec, unit));
  }
  if (!path.empty())
    NX_CHECK(sys::Cgroup(layout, path).destroy(kPatience, lock.has_value() && unit.empty()),
             "remove cgroup " + path);
  NX_CHECK(sys::remove_file(AT_FDCWD, start_socket(record)));
  const std::string lxc_name = record.backend_data.text("lxc_name");
  return lxc_name.empty() ? Result<>() : sys::remove_file(AT_FDCWD, lock_file(lxc_name));
}

}  // namespace

std::unique_ptr<Backend> make_backend(const Setup& setup) {
  return std::make_unique<LxcBackend>(setup);
}

}  // namespace nexcage::backends::lxc
