#include "nexcage/backends/oci_runtime/backend.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "nexcage/backends/cgroup_lock.h"
#include "nexcage/backends/host_cgroups.h"
#include "nexcage/backends/oci_runtime/binary.h"
#include "nexcage/backends/oci_runtime/create.h"
#include "nexcage/backends/oci_runtime/features.h"
#include "nexcage/backends/oci_runtime/verbs.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::oci_runtime {
namespace {

constexpr std::chrono::seconds kKillTime(10);

std::unexpected<Error> not_running() { return fail(Errc::InvalidState, "container not running"); }

/// Above the standard streams and what socket activation ($LISTEN_FDS) and --preserve-fds hand on.
int first_own_fd(int preserved) {
  const char* listening = std::getenv("LISTEN_FDS");
  const auto more = listening == nullptr ? std::nullopt : parse_u64(listening);
  constexpr std::uint64_t kMost = 1024;
  return 3 + preserved + static_cast<int>(std::min(more.value_or(0), kMost));
}

class OciRuntimeBackend : public Backend {
 public:
  OciRuntimeBackend(const Dialect& dialect, Setup setup, std::string configured)
      : dialect_(dialect), setup_(std::move(setup)), configured_(std::move(configured)) {}

  std::string_view name() const override { return dialect_.name; }
  bool complete() const override { return true; }
  bool reads_bundle_only() const override { return !dialect_.config_option; }
  Result<> probe() const override;
  Features features() const override;
  Result<std::unique_ptr<Configured>> configure(const CreateJob& job) const override;
  Result<> start(const Record& record) const override;
  Result<oci::Status> status(const Record& record) const override;
  Result<> kill(const Record& record, int signal, bool all) const override;
  Result<ExecStarted> exec(const Record& record, const oci::Spec& spec,
                           const ExecRequest& request) const override;
  Result<> pause(const Record& record) const override;
  Result<> resume(const Record& record) const override { return run(record, "resume"); }
  Result<std::vector<pid_t>> processes(const Record& record) const override;
  Result<sys::CgroupLayout> cgroup_dirs(const Record& record) const override;
  Result<> check_checkpoint() const override;
  Result<> checkpoint(const Record& record, const Words& options) const override;
  Result<> update(const Record& record, const oci::Resources& resources) const override;
  Result<> remove(const Record& record) const override;
  Result<sys::Command> command(const Record& record, Words words) const override;
  Result<Foreign> foreign(const Record& record) const override;
  Result<ExecCommand> exec_command(const Record& record, const ExecRequest& request) const override;

 private:
  Result<> remove_parent(const Record& record) const;
  Runtime with_program(std::string path) const {
    return {&dialect_,
            {.path = std::move(path),
             .root = setup_.root + "/@" + std::string(dialect_.name),
             .options = setup_.invocation},
            setup_.root,
            setup_.cgroup_parent};
  }
  /// The runtime that made the container: another one may be configured by now.
  Result<Runtime> of(const Record& record) const {
    std::string program = parse_kept(record.backend_data).program;
    if (program.empty()) {
      NX_TRY(program, find_binary(dialect_, configured_));
    }
    return with_program(std::move(program));
  }
  Result<> run(const Record& record, const char* verb) const {
    NX_TRY(const Runtime runtime, of(record));
    return run_verb(runtime, {verb, record.state.id});
  }
  /// Unsupported when it has none of its own.
  Result<sys::Cgroup> cgroup_of(const Record& record) const {
    const std::string path = parse_kept(record.backend_data).cgroup;
    if (path.empty())
      return fail(Errc::Unsupported,
                  "container " + record.state.id + " has no control group of its own");
    return cgroups_.at(path);
  }

  const Dialect& dialect_;
  Setup setup_;
  std::string configured_;  // name on PATH or path
  HostCgroups cgroups_;
};

Result<> OciRuntimeBackend::probe() const {
  NX_TRY(const std::string program, find_binary(dialect_, configured_));
  return check_version(dialect_, program,
                       setup_.root + "/@" + std::string(dialect_.name) + ".version");
}

Features OciRuntimeBackend::features() const {
  auto program = find_binary(dialect_, configured_);
  return read_features(dialect_, program ? *program : std::string(dialect_.name));
}

Result<std::unique_ptr<Configured>> OciRuntimeBackend::configure(const CreateJob& job) const {
  NX_TRY(std::string program, find_binary(dialect_, configured_));
  if (job.restore) NX_CHECK(oci_runtime::check_checkpoint(dialect_, program));
  NX_TRY(Words words, plan_before_create(dialect_, job));
  return make_configured(job, with_program(std::move(program)), std::move(words));
}

Result<> OciRuntimeBackend::start(const Record& record) const {
  NX_TRY(const Runtime runtime, of(record));
  NX_TRY(const bool waiting, sys::exists(AT_FDCWD, runtime.start_fifo(record.state.id)));
  if (!waiting) return fail(Errc::InvalidState, "the container is not waiting to be started");
  return run_verb(runtime, {"start", record.state.id});
}

Result<oci::Status> OciRuntimeBackend::status(const Record& record) const {
  if (record.init.pid == 0) return oci::Status::creating;
  NX_TRY(bool alive, sys::is_alive(record.init));
  if (!alive) return oci::Status::stopped;
  if (const auto cgroup = cgroup_of(record))
    if (const auto frozen = cgroup->frozen(); frozen && *frozen) return oci::Status::paused;
  NX_TRY(const Runtime runtime, of(record));
  NX_TRY(bool waiting, sys::exists(AT_FDCWD, runtime.start_fifo(record.state.id)));
  return waiting ? oci::Status::created : oci::Status::running;
}

Result<> OciRuntimeBackend::pause(const Record& record) const {
  NX_CHECK(run(record, "pause"));
  // crun returns while version 1 still says FREEZING, and a caller that looks would not see it.
  const auto cgroup = cgroup_of(record);
  return cgroup ? cgroup->freeze() : Result<>();
}

Result<> OciRuntimeBackend::kill(const Record& record, int signal, bool all) const {
  const bool paused = record.state.status == oci::Status::paused;
  if (all) {
    NX_TRY(const sys::Cgroup cgroup, cgroup_of(record));
    NX_CHECK(cgroup.signal_all(signal));
  } else {
    NX_TRY(auto pidfd, sys::open_process(record.init));
    if (!pidfd) return not_running();
    NX_TRY(bool sent, sys::send_signal(pidfd->get(), signal));
    if (!sent) return not_running();
  }
  // Version 1 of cgroups lets nothing die that is frozen.
  if (!paused || signal != SIGKILL) return {};
  NX_TRY(const sys::Cgroup cgroup, cgroup_of(record));
  return cgroup.thaw();
}

Result<ExecStarted> OciRuntimeBackend::exec(const Record& record, const oci::Spec& /*spec*/,
                                            const ExecRequest& request) const {
  NX_TRY(const ExecCommand exec, exec_command(record, request));
  NX_TRY(sys::Child child, sys::Child::spawn(exec.command));
  return ExecStarted{std::move(child), {}};
}

Result<std::vector<pid_t>> OciRuntimeBackend::processes(const Record& record) const {
  NX_TRY(const sys::Cgroup cgroup, cgroup_of(record));
  return cgroup.processes();
}

Result<sys::CgroupLayout> OciRuntimeBackend::cgroup_dirs(const Record& record) const {
  NX_CHECK(cgroup_of(record));
  return Backend::cgroup_dirs(record);
}

Result<> OciRuntimeBackend::check_checkpoint() const {
  NX_TRY(const std::string program, find_binary(dialect_, configured_));
  return oci_runtime::check_checkpoint(dialect_, program);
}

Result<> OciRuntimeBackend::checkpoint(const Record& record, const Words& options) const {
  NX_TRY(const Runtime runtime, of(record));
  NX_CHECK(oci_runtime::check_checkpoint(dialect_, runtime.program.path));
  Words words = {"checkpoint"};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back(record.state.id);
  return run_verb(runtime, words);
}

Result<> OciRuntimeBackend::update(const Record& record, const oci::Resources& resources) const {
  NX_TRY(const Runtime runtime, of(record));
  NX_TRY(const UniqueFd file, sys::sealed_data(json::dump(oci::to_json(resources)), "resources"));
  NX_TRY(const std::string path, path_for_others(file.get()));
  return run_verb(runtime, {"update", "--resources", path, record.state.id});
}

Result<> OciRuntimeBackend::remove(const Record& record) const {
  NX_TRY(const Runtime runtime, of(record));
  // Killed here: runc looks only every 100 ms whether it is dead.
  if (auto pidfd = sys::open_process(record.init); pidfd && *pidfd) {
    NX_CHECK(kill(record, SIGKILL, false));
    NX_CHECK(sys::wait_exit((*pidfd)->get(), kKillTime));
  }
  NX_TRY(const bool there, sys::exists(AT_FDCWD, runtime.state_dir(record.state.id)));
  if (there) NX_CHECK(run_verb(runtime, removal_of(record.state.id)));
  return remove_parent(record);
}

/// The runtime removes the container's cgroup only; the parent of containers made from images is
/// ours. Only alone: a container being created next to us may be about to use it.
Result<> OciRuntimeBackend::remove_parent(const Record& record) const {
  const std::string path = parse_kept(record.backend_data).cgroup;
  if (!path.starts_with(setup_.cgroup_parent + "/")) return {};
  auto lock = lock_cgroups(setup_.root, LOCK_EX | LOCK_NB);
  if (!lock) return {};
  NX_TRY(const sys::CgroupLayout layout, sys::detect_cgroups());
  return sys::Cgroup(layout, path).destroy(kKillTime);
}

Result<sys::Command> OciRuntimeBackend::command(const Record& record, Words words) const {
  NX_TRY(const Runtime runtime, of(record));
  words.push_back(record.state.id);
  sys::Command command = command_of(runtime.program, words);
  command.exec_fd = sealed_program(runtime).release();  // execve closes it
  return command;
}

Result<Foreign> OciRuntimeBackend::foreign(const Record& record) const {
  NX_TRY(const Runtime runtime, of(record));
  return foreign_of(runtime, record.state.id);
}

Result<ExecCommand> OciRuntimeBackend::exec_command(const Record& record,
                                                    const ExecRequest& request) const {
  NX_TRY(const Runtime runtime, of(record));
  UniqueFd process;
  std::string file = request.process_file;
  if (file.empty()) {
    NX_TRY(const UniqueFd data,
           sys::sealed_data(json::dump(oci::to_json(request.process)), "process"));
    NX_TRY(process, sys::inheritable_above(data.get(), first_own_fd(request.preserve_fds)));
    file = sys::fd_path(process.get());
  }
  ExecRequest told = request;
  // Says nothing about a container that is not paused, so a runtime without it is not asked.
  if (record.state.status != oci::Status::paused) told.ignore_paused = false;
  NX_TRY(const Words words, plan_exec(dialect_, told, file, record.state.id));
  UniqueFd program = sealed_program(runtime);
  sys::Command command = command_of(runtime.program, words);
  command.exec_fd = program.get();
  return ExecCommand{std::move(command), std::move(process), std::move(program)};
}

}  // namespace

std::unique_ptr<Backend> make_crun(const Setup& setup) {
  return std::make_unique<OciRuntimeBackend>(kCrun, setup, setup.crun);
}

std::unique_ptr<Backend> make_runc(const Setup& setup) {
  return std::make_unique<OciRuntimeBackend>(kRunc, setup, setup.runc);
}

}  // namespace nexcage::backends::oci_runtime
