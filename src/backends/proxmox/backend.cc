#include "nexcage/backends/proxmox/backend.h"

#include <csignal>
#include <mutex>
#include <optional>

#include "nexcage/backends/proxmox/guest.h"
#include "nexcage/backends/proxmox/swap.h"
#include "nexcage/base/log.h"
#include "nexcage/pve/answer.h"

namespace nexcage::backends::proxmox {

namespace {

std::unexpected<Error> refuse(const std::string& what, const std::string& why) {
  return fail(Errc::Unsupported, "backend proxmox-lxc: " + what + ": " + why);
}

class LxcConfigured final : public Configured {
 public:
  LxcConfigured(Cluster cluster, CreateJob job, StorageInfo storage, pve::Mapped settings,
                std::string libexec)
      : cluster_(std::move(cluster)),
        job_(std::move(job)),
        storage_(std::move(storage)),
        settings_(std::move(settings)),
        libexec_(std::move(libexec)) {}

  std::string describe() const override {
    json::Object out;
    for (const auto& [name, value] : settings_.params) out.append(name, value);
    return json::dump(std::move(out), json::Style::pretty);
  }

  Result<Created> create(UndoLog& /*undo*/, const RunHooks& /*hooks*/) override {
    NX_TRY(const GuestName name, make_guest(cluster_, job_, storage_, settings_, libexec_));
    return Created{.init = {}, .backend_data = to_json(name), .pty_master = {}};
  }

 private:
  Cluster cluster_;
  CreateJob job_;
  StorageInfo storage_;
  pve::Mapped settings_;
  std::string libexec_;
};

class LxcBackend final : public Backend {
 public:
  explicit LxcBackend(const Setup& setup) : setup_(setup) {}

  std::string_view name() const override { return "proxmox-lxc"; }
  bool keeps_guests() const override { return true; }
  Result<> probe() const override {
    NX_CHECK(cluster());
    return {};
  }
  Features features() const override {
    Features features;
    features.namespaces = {"pid", "network", "mount", "ipc", "uts", "user", "cgroup"};
    features.mount_options = {"bind", "rbind", "ro", "noatime", "nodev", "noexec", "nosuid"};
    features.unsupported_fields = {"/hooks",
                                   "/linux/sysctl",
                                   "/linux/seccomp",
                                   "/linux/resources/pids",
                                   "/process/terminal",
                                   "/process/rlimits"};
    return features;
  }

  Result<std::unique_ptr<Configured>> configure(const CreateJob& job) const override {
    if (job.image == nullptr)
      return refuse("bundle", "a guest is made from an image: nexcage run IMAGE");
    if (job.restore) return refuse("restore", "checkpoints are CRIU's");
    NX_TRY(const Cluster* there, cluster());
    NX_TRY(StorageInfo storage, root_storage(*there, job.spec));
    NX_TRY(pve::Mapped settings, plan_guest(*there, job, storage));
    return std::make_unique<LxcConfigured>(*there, job, std::move(storage), std::move(settings),
                                           setup_.libexec);
  }

  Result<> start(const Record& record) const override { return act(record, "start", {}); }

  Result<oci::Status> status(const Record& record) const override {
    NX_TRY(const Found found, find(record));
    auto status = found.cluster.api().call(
        "GET", found.cluster.lxc_path(found.name.vmid) + "/status/current", {});
    if (!status && pve::says_missing(status.error())) {
      log::warning("container " + record.state.id + ": guest " + std::to_string(found.name.vmid) +
                   " is gone from the cluster");
      return oci::Status::stopped;
    }
    if (!status) return fail(std::move(status).error());
    if (status->text("status") == "running") return oci::Status::running;
    const bool never_ran = record.state.status == oci::Status::created;
    return never_ran ? oci::Status::created : oci::Status::stopped;
  }

  Result<> kill(const Record& record, int signal, bool /*all*/) const override {
    switch (signal) {
      case SIGKILL:
        return act(record, "stop", {});
      case SIGTERM:
      case SIGINT:
      case SIGQUIT:
      case SIGPWR:
        // The launcher hands on the signal that the image wants.
        return begin(record, "shutdown", {{"timeout", "60"}});
      default:
        return refuse("signal " + std::to_string(signal),
                      "Proxmox VE can only ask a guest to end (TERM) and end it (KILL)");
    }
  }

  Result<ExecStarted> exec(const Record& record, const oci::Spec& spec,
                           const ExecRequest& request) const override;

  Result<> pause(const Record& /*record*/) const override {
    return refuse("pause", "Proxmox VE suspends containers with CRIU only, which loses them often");
  }
  Result<> resume(const Record& /*record*/) const override {
    return refuse("resume", "there is no pause");
  }
  Result<std::vector<pid_t>> processes(const Record& /*record*/) const override {
    return refuse("processes", "the API does not tell them");
  }
  Result<sys::CgroupLayout> cgroup_dirs(const Record& /*record*/) const override {
    return refuse("statistics", "the guest's control groups are on its node");
  }

  Result<> update(const Record& record, const oci::Resources& resources) const override;

  Result<> remove(const Record& record) const override {
    auto name = guest_name(record.backend_data);
    if (!name) return {};  // nothing was made
    NX_TRY(const Cluster* there, cluster());
    return destroy_guest(*there, *name);
  }

  Result<json::Value> replace_image(const Record& record, const CreateJob& job) const override {
    NX_TRY(const Found found, find(record));
    NX_CHECK(swap_image(found.cluster, found.name, job, setup_.libexec));
    return record.backend_data;
  }
  Result<json::Value> roll_back(const Record& record) const override {
    NX_TRY(const Found found, find(record));
    NX_CHECK(swap_back(found.cluster, found.name));
    return record.backend_data;
  }

 private:
  struct Found {
    Cluster cluster;  // on the guest's node
    GuestName name;
  };
  Result<const Cluster*> cluster() const {
    const std::lock_guard lock(mutex_);
    if (!cluster_) {
      NX_TRY(Cluster opened, open_cluster(setup_.libexec, setup_.proxmox));
      cluster_.emplace(std::move(opened));
    }
    return &*cluster_;
  }
  Result<Found> find(const Record& record) const {
    NX_TRY(GuestName name, guest_name(record.backend_data));
    NX_TRY(const Cluster* there, cluster());
    return Found{.cluster = there->on(name.node), .name = std::move(name)};
  }
  /// A status verb of the API, to the end of its task.
  Result<> act(const Record& record, const std::string& verb, const pve::Params& params) const {
    NX_TRY(const Found found, find(record));
    return found.cluster.api().run(
        "POST", found.cluster.lxc_path(found.name.vmid) + "/status/" + verb, params);
  }
  Result<> begin(const Record& record, const std::string& verb, const pve::Params& params) const {
    NX_TRY(const Found found, find(record));
    NX_CHECK(found.cluster.api().call(
        "POST", found.cluster.lxc_path(found.name.vmid) + "/status/" + verb, params));
    return {};
  }

  Setup setup_;
  mutable std::mutex mutex_;
  mutable std::optional<Cluster> cluster_;
};

Result<ExecStarted> LxcBackend::exec(const Record& record, const oci::Spec& /*spec*/,
                                     const ExecRequest& request) const {
  NX_TRY(const Found found, find(record));
  if (!found.cluster.api().is_local())
    return fail(Error(Errc::Unsupported,
                      "backend proxmox-lxc: exec: the API of Proxmox VE has none for containers")
                    .hint("run nexcage on node " + found.name.node));
  if (request.process.terminal)
    return refuse("exec with a terminal",
                  "use `pct enter " + std::to_string(found.name.vmid) + "`");
  pve::Launch launch{.args = request.process.args,
                     .cwd = request.process.cwd,
                     .user = request.process.user,
                     .no_new_privileges = request.process.no_new_privileges};
  for (const std::string& entry : request.process.env) launch.env.emplace_back(0U, entry);
  sys::Command command;
  command.argv = {"pct",
                  "exec",
                  std::to_string(found.name.vmid),
                  "--",
                  std::string(pve::kLauncher),
                  "exec",
                  pve::encode_text(launch)};
  command.inherit_env = true;
  NX_TRY(command.program, sys::find_program("pct"));
  NX_TRY(sys::Child child, sys::Child::spawn(command));
  return ExecStarted{.child = std::move(child), .pty_master = {}};
}

Result<> LxcBackend::update(const Record& record, const oci::Resources& resources) const {
  NX_TRY(const Found found, find(record));
  NX_TRY(const auto guest, find_guest(found.cluster, found.name));
  if (!guest) return fail(Errc::ContainerNotFound, "the guest is gone");
  NX_TRY(oci::Spec spec, pve::to_spec(guest->config, guest->notes.rest));
  oci::Resources& now = *spec.linux_->resources;
  if (resources.memory && resources.memory->limit) {
    if (!now.memory) now.memory.emplace();
    now.memory->limit = resources.memory->limit;
    if (resources.memory->swap) now.memory->swap = resources.memory->swap;
  }
  if (resources.cpu && resources.cpu->quota && *resources.cpu->quota > 0) {
    if (!now.cpu) now.cpu.emplace();
    now.cpu->quota = resources.cpu->quota;
    now.cpu->period = resources.cpu->period.value_or(100'000);
  }
  if (resources.pids_limit || resources.block_io || !resources.unified.empty())
    return refuse("limits of processes and block devices", "Proxmox VE has no settings for them");
  // Only limits are taken from it: what the guest runs is not in question, whatever the release.
  NX_TRY(const pve::Mapped mapped,
         pve::to_settings(spec, {.version = {9, 2}, .rootfs = "unchanged"}));
  pve::Params changes;
  for (const char* name : {"memory", "swap", "cpulimit"})
    if (const auto value = mapped.params.find(name); value != mapped.params.end())
      changes[name] = value->second;
  return changes.empty() ? Result<>() : found.cluster.set(found.name.vmid, changes);
}

}  // namespace

std::unique_ptr<Backend> make_lxc(const Setup& setup) {
  return std::make_unique<LxcBackend>(setup);
}

Result<Cluster> open_cluster(const std::string& libexec, const ProxmoxSetup& setup) {
  NX_TRY(std::unique_ptr<Api> api, open_api(libexec, setup));
  return Cluster::open(std::move(api), setup);
}

}  // namespace nexcage::backends::proxmox
