#include "nexcage/backends/proxmox/backend.h"

#include <csignal>
#include <map>
#include <mutex>
#include <optional>

#include "nexcage/backends/guest_details.h"
#include "nexcage/backends/proxmox/exchange.h"
#include "nexcage/backends/proxmox/exec.h"
#include "nexcage/backends/proxmox/power.h"
#include "nexcage/backends/proxmox/swap.h"
#include "nexcage/base/log.h"
#include "nexcage/pve/answer.h"

namespace nexcage::backends::proxmox {

namespace {

std::unexpected<Error> refuse(const std::string& what, const std::string& why) {
  return fail(Errc::Unsupported, "backend proxmox-lxc: " + what + ": " + why);
}

/// Variables without their values, which may be secret: "A=..., B=...".
std::string names_of(std::string_view env) {
  std::string out;
  for (const std::string& entry : pve::split_env(env))
    out += (out.empty() ? "" : ", ") + entry.substr(0, entry.find('=')) + "=...";
  return out;
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
    for (const auto& [name, value] : settings_.params)
      out.append(name, name == "env" ? names_of(value) : value);
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
  std::optional<json::Value> moved(const Record& record) const override {
    const std::lock_guard lock(mutex_);
    const auto found = moved_.find(record.backend_data.text("token"));
    if (found == moved_.end()) return std::nullopt;
    json::Object data =
        record.backend_data.if_object() ? *record.backend_data.if_object() : json::Object();
    data.set("node", found->second.node);
    return json::Value(std::move(data));
  }
  std::map<std::string, std::string> details(const Record& record) const override {
    const auto name = guest_name(record.backend_data);
    if (!name) return {};  // none is made yet
    return {{std::string(kVmidDetail), std::to_string(name->vmid)},
            {std::string(kNodeDetail), name->node}};
  }
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

  Result<> start(const Record& record) const override {
    NX_TRY(const Found found, find(record));
    return found.cluster.api().run("POST", found.path("/status/start"), {});
  }
  Result<> stop(const Record& record, std::chrono::seconds time) const override {
    NX_TRY(const Found found, find(record));
    return stop_guest(found.cluster, found.guest.name.vmid, time);
  }

  Result<oci::Status> status(const Record& record) const override {
    NX_TRY(const std::optional<Found> found, look_for(record));
    if (!found) {
      log::warning("container " + record.state.id + ": " + gone(record));
      return oci::Status::stopped;
    }
    NX_TRY(const json::Value status,
           found->cluster.api().call("GET", found->path("/status/current"), {}));
    if (status.text("status") == "running") return oci::Status::running;
    const bool never_ran = record.state.status == oci::Status::created;
    return never_ran ? oci::Status::created : oci::Status::stopped;
  }

  Result<> kill(const Record& record, int signal, bool /*all*/) const override {
    switch (signal) {
      case SIGKILL: {
        NX_TRY(const Found found, find(record));
        return kill_guest(found.cluster, found.guest.name.vmid);
      }
      case SIGTERM: {
        // The launcher hands on the signal that the image wants.
        NX_TRY(const Found found, find(record));
        NX_CHECK(
            found.cluster.api().call("POST", found.path("/status/shutdown"), {{"timeout", "60"}}));
        return {};
      }
      default:
        return refuse("signal " + std::to_string(signal),
                      "Proxmox VE can only ask a guest to end (TERM) and end it (KILL)");
    }
  }

  Result<ExecStarted> exec(const Record& record, const oci::Spec& /*spec*/,
                           const ExecRequest& request) const override {
    NX_TRY(const Found found, find(record));
    NX_CHECK(check_exec(found.cluster, found.guest.name));
    return exec_guest(found.guest.name, request);
  }
  Result<std::string> accounts(const Record& record) const override {
    NX_TRY(const Found found, find(record));
    NX_CHECK(check_exec(found.cluster, found.guest.name));
    return root_of_guest(found.cluster, found.guest.name.vmid);
  }

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

  Result<> remove(const Record& record) const override { return destroy(record, Purge::no); }
  Result<> purge(const Record& record) const override { return destroy(record, Purge::yes); }

  Result<json::Value> replace_image(const Record& record, const CreateJob& job) const override {
    NX_TRY(GuestData data, guest_data(record.backend_data));
    NX_TRY(const Cluster* there, cluster());
    NX_CHECK(swap_image(*there, data, job, setup_.libexec));
    return to_json(data);
  }
  Result<json::Value> roll_back(const Record& record, const Remember& remember) const override {
    NX_TRY(GuestData data, guest_data(record.backend_data));
    NX_TRY(const Cluster* there, cluster());
    NX_CHECK(swap_back(*there, data, remember));
    return to_json(data);
  }
  Result<std::optional<json::Value>> recover(const Record& record) const override {
    if (record.backend_data.is_null()) return std::nullopt;
    NX_TRY(GuestData data, guest_data(record.backend_data));
    if (!data.update && data.spare.empty()) return std::nullopt;  // without asking the cluster
    NX_TRY(const Cluster* there, cluster());
    NX_TRY(const bool was_left, settle(*there, data));
    return was_left ? std::optional(to_json(data)) : std::nullopt;
  }

 private:
  struct Found {
    Cluster cluster;  // on the guest's node
    FoundGuest guest;
    std::string path(std::string_view verb) const {
      return cluster.guest_path(guest.name.vmid) + std::string(verb);
    }
  };
  Result<const Cluster*> cluster() const {
    const std::lock_guard lock(mutex_);
    if (!cluster_) {
      NX_TRY(Cluster opened, open_cluster(setup_.libexec, setup_.proxmox));
      cluster_.emplace(std::move(opened));
    }
    return &*cluster_;
  }
  Result<> destroy(const Record& record, Purge purge) const {
    if (record.backend_data.is_null()) return {};  // nothing was made
    NX_TRY(GuestData data, guest_data(record.backend_data));
    NX_TRY(const Cluster* there, cluster());
    if (data.update && data.update->carrier)
      NX_CHECK(drop_carrier(there->on(data.update->carrier->node), *data.update));
    return destroy_guest(*there, data.name, purge);
  }
  static std::string gone(const Record& record) {
    return "guest " + pve::as_text(record.backend_data.find("vmid")) + " is gone from the cluster";
  }
  /// The guest that the record speaks of, wherever it is, and no other that has its VMID.
  Result<std::optional<Found>> look_for(const Record& record) const {
    NX_TRY(const GuestName name, guest_name(record.backend_data));
    NX_TRY(const Cluster* there, cluster());
    NX_TRY(auto guest, find_guest(*there, name));
    if (!guest) return std::nullopt;
    if (guest->name.node != name.node) {
      const std::lock_guard lock(mutex_);
      moved_[name.token] = guest->name;
    }
    Cluster on_node = there->on(guest->name.node);
    return Found{.cluster = std::move(on_node), .guest = std::move(*guest)};
  }
  Result<Found> find(const Record& record) const {
    NX_TRY(std::optional<Found> found, look_for(record));
    if (found) return std::move(*found);
    return fail(Errc::ContainerNotFound, gone(record));
  }
  Setup setup_;
  mutable std::mutex mutex_;
  mutable std::optional<Cluster> cluster_;
  mutable std::map<std::string, GuestName> moved_;  // by their tokens
};

/// A limit that there is no setting for; empty: there is none.
std::string other_limit(oci::Resources resources) {
  if (resources.memory) resources.memory->limit.reset();
  if (resources.memory) resources.memory->swap.reset();
  if (resources.cpu) {
    if (resources.cpu->quota) resources.cpu->period.reset();
    resources.cpu->quota.reset();
    resources.cpu->shares.reset();
  }
  const json::Value rest = oci::to_json(resources);
  if (rest.if_object() == nullptr) return {};
  for (const auto& [section, limits] : *rest.if_object()) {
    if (limits.if_object() == nullptr) return "/" + section;
    for (const auto& [name, value] : *limits.if_object()) return "/" + section + "/" + name;
  }
  return {};
}

Result<> LxcBackend::update(const Record& record, const oci::Resources& resources) const {
  if (const std::string other = other_limit(resources); !other.empty())
    return refuse(other, "Proxmox VE has no such setting");
  NX_TRY(const Found found, find(record));
  NX_TRY(oci::Spec spec, pve::to_spec(found.guest.config, found.guest.notes.rest));
  oci::Resources& now = *spec.linux_->resources;
  // What is named as 0 stays as it is.
  const oci::MemoryLimits memory = resources.memory.value_or(oci::MemoryLimits());
  const oci::CpuLimits cpu = resources.cpu.value_or(oci::CpuLimits());
  // A section without a limit is no setting: it is there only with one.
  const auto section = [](auto& one) -> auto& { return one ? *one : one.emplace(); };
  if (memory.limit.value_or(0) != 0) section(now.memory).limit = memory.limit;
  if (memory.swap.value_or(0) != 0) section(now.memory).swap = memory.swap;
  if (cpu.quota.value_or(0) > 0) {
    section(now.cpu).quota = cpu.quota;
    now.cpu->period = cpu.period.value_or(100'000);
  }
  if (cpu.shares.value_or(0) != 0) section(now.cpu).shares = cpu.shares;
  // Only limits are taken from it: what the guest runs is not in question, whatever the release.
  NX_TRY(const pve::Mapped mapped,
         pve::to_settings(spec, {.version = {9, 2}, .rootfs = "unchanged"}));
  pve::Params changes;
  for (const char* name : {"memory", "swap", "cpulimit", "cpuunits"})
    if (const auto value = mapped.params.find(name); value != mapped.params.end())
      changes[name] = value->second;
  if (cpu.quota.value_or(0) < 0) changes["cpulimit"] = "0";  // none
  return changes.empty() ? Result<>() : found.cluster.set(found.guest.name.vmid, changes);
}

}  // namespace

std::unique_ptr<Backend> make_lxc(const Setup& setup) {
  return std::make_unique<LxcBackend>(setup);
}

Result<Cluster> open_cluster(const std::string& libexec, const ProxmoxSetup& setup,
                             GuestKind kind) {
  NX_TRY(std::unique_ptr<Api> api, open_api(libexec, setup));
  return Cluster::open(std::move(api), setup, kind);
}

}  // namespace nexcage::backends::proxmox
