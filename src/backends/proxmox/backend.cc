#include "nexcage/backends/proxmox/backend.h"

#include <optional>

#include "nexcage/backends/proxmox/exchange.h"
#include "nexcage/backends/proxmox/exec.h"
#include "nexcage/backends/proxmox/guest_backend.h"
#include "nexcage/backends/proxmox/swap.h"
#include "nexcage/base/log.h"
#include "nexcage/pve/answer.h"

namespace nexcage::backends::proxmox {

namespace {

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

class LxcBackend final : public GuestBackend {
 public:
  explicit LxcBackend(const Setup& setup) : GuestBackend(setup, GuestKind::lxc) {}

  std::string_view name() const override { return "proxmox-lxc"; }
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
                                           setup().libexec);
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
  Result<> update(const Record& record, const oci::Resources& resources) const override;

  Result<json::Value> replace_image(const Record& record, const CreateJob& job) const override {
    NX_TRY(GuestData data, guest_data(record.backend_data));
    NX_TRY(const Cluster* there, cluster());
    NX_CHECK(swap_image(*there, data, job, setup().libexec));
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
  Result<> destroy(const Record& record, Purge purge) const override {
    if (record.backend_data.is_null()) return {};  // nothing was made
    NX_TRY(GuestData data, guest_data(record.backend_data));
    NX_TRY(const Cluster* there, cluster());
    if (data.update && data.update->carrier)
      NX_CHECK(drop_carrier(there->on(data.update->carrier->node), *data.update));
    return destroy_guest(*there, data.name, purge);
  }
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
  return first_limit(resources);
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
