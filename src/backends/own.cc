#include "nexcage/backends/own.h"

#include <fcntl.h>
#include <unistd.h>

#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends {

Result<> probe_own(std::string_view backend, const Setup& setup,
                   std::initializer_list<std::string_view> programs, const std::string& hint) {
  if (::geteuid() != 0)
    return fail(Error(Errc::PermissionDenied,
                      "the backend " + std::string(backend) + " makes containers as root only")
                    .hint("run nexcage as root, or take a bundle and --runtime crun or runc"));
  for (const std::string_view program : programs) {
    const std::string path = setup.libexec + "/" + std::string(program);
    NX_TRY(const bool there, sys::exists(AT_FDCWD, path));
    if (!there) return fail(Error(Errc::RuntimeNotAvailable, path + " is missing").hint(hint));
  }
  NX_TRY(const sys::CgroupLayout layout, sys::detect_cgroups());
  if (layout.mode() == sys::CgroupMode::none)
    return fail(Error(Errc::RuntimeNotAvailable, "this host has no cgroups mounted")
                    .hint("mount cgroup2 on /sys/fs/cgroup"));
  return {};
}

Result<> check_complete(const CreateJob& job) {
  if (!job.spec.process) return fail(Errc::InvalidSpec, "/process: missing");
  if (!job.spec.root) return fail(Errc::InvalidSpec, "/root: missing");
  if (!job.spec.linux_) return fail(Errc::InvalidSpec, "/linux: missing");
  if (job.spec.process->terminal && !job.console_socket && !job.keep_master)
    return fail(Error(Errc::InvalidConfig, "a terminal is asked for, but nobody takes it")
                    .hint("give --console-socket, or set process.terminal to false"));
  if (!job.spec.process->terminal && job.console_socket)
    return fail(Errc::InvalidConfig, "--console-socket without process.terminal");
  return {};
}

Result<> run_runtime_hooks(const CreateJob& job, pid_t init, const RunHooks& hooks) {
  oci::State state;
  state.oci_version = job.spec.oci_version;
  state.id = job.id;
  state.status = oci::Status::created;
  state.pid = init;
  state.bundle = job.bundle;
  state.annotations = job.spec.annotations;
  NX_CHECK(hooks(HookPoint::prestart, state));
  return hooks(HookPoint::create_runtime, state);
}

sys::plan::ChangeMount remount_of(const oci::Mount& mount, const sys::MountOptions& options) {
  return {.target = mount.destination,
          .set = options.set | options.rec_set,
          .clear = options.clear | options.rec_clear,
          .propagation = options.propagation,
          .recursive = (options.rec_set | options.rec_clear) != 0};
}

}  // namespace nexcage::backends
