// Phases 6 and 8: the backend's configuration, and the environment it makes with the hooks.
#include "nexcage/base/log.h"
#include "nexcage/runtime/hooks.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

/// Without a path in the spec the container gets {cgroup_parent}/{id}, a relative one lies below
/// {cgroup_parent}: so that `state` and `delete` know it whatever the backend. The systemd form
/// ("slice:prefix:name") is the backend's to judge, and any path when systemd is asked.
void set_cgroup_path(oci::Spec& spec, const Request& request, const Settings& settings) {
  if (!spec.linux_) return;
  const std::string& id = request.id;
  std::string& path = spec.linux_->cgroups_path;
  if (request.cgroup_manager == backends::CgroupManager::systemd) {
    if (path.empty()) path = "system.slice:nexcage:" + id;
    return;
  }
  if (path.empty()) path = id;
  if (!path.starts_with('/') && path.find(':') == std::string::npos)
    path = "/" + settings.cgroup_parent + "/" + path;
}

/// For a runtime that reads the file itself, from a directory that is not the bundle.
void make_paths_absolute(oci::Spec& spec, const Ready& ready) {
  spec.root->path = ready.rootfs;
  for (oci::Mount& mount : spec.mounts)
    if (mount.type == "bind" && !mount.source.empty() && !mount.source.starts_with('/'))
      mount.source = ready.bundle + "/" + mount.source;
}

/// Decides the final spec and its text. A runtime of its own gets the bundle's file as it is.
void settle_spec(Ready& ready, const Settings& settings) {
  const bool complete = ready.handler->complete();
  const bool image_form = ready.verified.has_value();
  if (!complete || image_form) set_cgroup_path(ready.spec, *ready.request, settings);
  ready.final_spec = std::make_unique<oci::Spec>(ready.spec);
  const bool out_of_reach =
      ready.handler->reads_bundle_only() && ready.spec_file != ready.bundle + "/config.json";
  if (complete && !image_form && !ready.spec_changed && !out_of_reach) {
    ready.config_text = std::move(ready.spec_text);
    return;
  }
  if (complete) make_paths_absolute(*ready.final_spec, ready);
  ready.config_text = json::dump(oci::to_json(*ready.final_spec)) + "\n";
  ready.spec_file = ready.state_dir + "/config.json";
}

backends::CreateJob job_of(const Ready& ready) {
  const Request& request = *ready.request;
  return backends::CreateJob{.id = request.id,
                             .spec = *ready.final_spec,
                             .bundle = ready.bundle,
                             .rootfs = ready.rootfs,
                             .state_dir = ready.state_dir,
                             .pivot = request.pivot,
                             .keyring = request.keyring,
                             .preserve_fds = request.preserve_fds,
                             .console_socket = request.console_socket,
                             .keep_master = request.keep_master,
                             .cgroup_manager = request.cgroup_manager,
                             .restore = request.restore,
                             .disks = ready.disk_root ? &ready.disk_root->disks : nullptr,
                             .user_network = ready.user_network.get(),
                             .config_file = ready.spec_file,
                             .pid_file = request.pid_file};
}

}  // namespace

Result<Ready> configure_backend(Stored stored, Services& with) {
  Ready ready{std::move(stored), {}, {}, {}, {}, {}, {}};
  ready.state_dir = Paths(with.settings).state_dir(ready.request->id);
  NX_TRY(ready.handler, with.open_backend(ready.backend));
  settle_spec(ready, with.settings);
  if (ready.network && ready.network->mode == network::Mode::user)
    ready.user_network = std::make_unique<backends::UserNetwork>();
  NX_TRY(ready.configured, ready.handler->configure(job_of(ready)),
         "configure backend " + ready.backend);
  if (log::enabled(log::Level::debug)) log::debug(ready.configured->describe());
  return ready;
}

Result<Made> create_environment(Registered registered, Services& with) {
  Made made{std::move(registered), {}};
  const auto hooks = [&](backends::HookPoint point, const oci::State& state) {
    return run_hooks(made.final_spec->hooks, point, state, with.settings.hook_timeout);
  };
  const std::string& pid_file = made.request->pid_file;
  if (made.handler->complete() && !pid_file.empty())
    NX_CHECK(made.undo.will_create_file(sys::clean_path(pid_file)));
  NX_TRY(backends::Created created, made.configured->create(made.undo, hooks),
         "backend " + made.backend);
  made.record.init = created.init;
  made.record.state.pid = created.init.pid;
  made.record.state.status = oci::Status::created;
  made.record.backend_data = std::move(created.backend_data);
  made.pty_master = std::move(created.pty_master);
  NX_CHECK(save_record(made.record));
  return made;
}

}  // namespace nexcage::runtime
