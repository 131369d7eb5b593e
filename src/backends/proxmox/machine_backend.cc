// Backend `proxmox-vm`: the image in a virtual machine of the cluster, with our agent as its first
// process.
#include <optional>

#include "nexcage/backends/proxmox/backend.h"
#include "nexcage/backends/proxmox/guest_backend.h"
#include "nexcage/backends/proxmox/machine.h"
#include "nexcage/backends/proxmox/machine_exec.h"
#include "nexcage/backends/proxmox/machine_swap.h"
#include "nexcage/backends/vm/fields.h"
#include "nexcage/backends/vm/standalone.h"

namespace nexcage::backends::proxmox {

namespace {

class MachineConfigured final : public Configured {
 public:
  MachineConfigured(Cluster cluster, CreateJob job, Setup setup, StorageInfo storage,
                    MachinePlan plan)
      : cluster_(std::move(cluster)),
        job_(std::move(job)),
        setup_(std::move(setup)),
        storage_(std::move(storage)),
        plan_(std::move(plan)) {}

  std::string describe() const override {
    json::Object out;
    for (const auto& [name, value] : plan_.params) out.append(name, value);
    return json::dump(std::move(out), json::Style::pretty);
  }

  Result<Created> create(UndoLog& /*undo*/, const RunHooks& /*hooks*/) override {
    NX_TRY(json::Value data, make_machine(cluster_, job_, setup_, storage_, std::move(plan_)));
    return Created{.init = {}, .backend_data = std::move(data), .pty_master = {}};
  }

 private:
  Cluster cluster_;
  CreateJob job_;
  Setup setup_;
  StorageInfo storage_;
  MachinePlan plan_;
};

class MachineBackend final : public GuestBackend {
 public:
  explicit MachineBackend(const Setup& setup) : GuestBackend(setup, GuestKind::qemu) {}

  std::string_view name() const override { return "proxmox-vm"; }
  Features features() const override {
    Features out;
    out.hooks = {"startContainer"};
    out.namespaces = {"pid", "network", "mount", "ipc", "uts", "cgroup"};
    out.mount_options = {"ro", "noatime", "nodev", "noexec", "nosuid"};
    for (const vm::Field& field : vm::fields())
      if (field.applied == vm::Applied::refused) out.unsupported_fields.emplace_back(field.pointer);
    return out;
  }

  Result<std::unique_ptr<Configured>> configure(const CreateJob& job) const override {
    if (job.image == nullptr)
      return refuse("bundle", "a guest is made from an image: nexcage run IMAGE");
    if (job.restore) return refuse("restore", "checkpoints are CRIU's");
    NX_TRY(const Cluster* there, cluster());
    NX_TRY(StorageInfo storage, root_storage(*there, job.spec));
    NX_TRY(MachinePlan plan, plan_machine_guest(*there, job, setup().vm));
    // What the agent cannot do is told before anything is made.
    NX_CHECK(vm::plan_standalone(job, {}, 15));
    NX_CHECK(vm::machine_kernel(job.spec, setup().vm));
    return std::make_unique<MachineConfigured>(*there, job, setup(), std::move(storage),
                                               std::move(plan));
  }

  Result<ExecStarted> exec(const Record& record, const oci::Spec& spec,
                           const ExecRequest& request) const override {
    NX_TRY(const Found found, find(record));
    return exec_in_machine(found.cluster, found.guest.name.vmid, spec, request);
  }
  Result<std::string> accounts(const Record& record) const override;

  Result<> pause(const Record& record) const override {
    NX_TRY(const Found found, find(record));
    return found.cluster.api().run("POST", found.path("/status/suspend"), {});
  }
  Result<> resume(const Record& record) const override {
    NX_TRY(const Found found, find(record));
    return found.cluster.api().run("POST", found.path("/status/resume"), {});
  }

  Result<> update(const Record& record, const oci::Resources& resources) const override {
    NX_TRY(const pve::Params changes, machine_limits(resources));
    if (changes.empty()) return {};
    NX_TRY(const Found found, find(record));
    return found.cluster.set(found.guest.name.vmid, changes);
  }

  Result<json::Value> replace_image(const Record& record, const CreateJob& job) const override {
    NX_TRY(GuestData data, guest_data(record.backend_data));
    NX_TRY(const Cluster* there, cluster());
    NX_CHECK(swap_machine(*there, data, job, setup()));
    return to_json(data);
  }
  Result<json::Value> roll_back(const Record& record, const Remember& remember) const override {
    NX_TRY(GuestData data, guest_data(record.backend_data));
    NX_TRY(const Cluster* there, cluster());
    NX_CHECK(swap_machine_back(*there, data, remember));
    return to_json(data);
  }
  Result<std::optional<json::Value>> recover(const Record& record) const override {
    if (record.backend_data.is_null()) return std::nullopt;
    NX_TRY(GuestData data, guest_data(record.backend_data));
    if (!data.update && data.spare.empty()) return std::nullopt;  // without asking the cluster
    NX_TRY(const Cluster* there, cluster());
    NX_CHECK(settle_machine(*there, data));
    return std::optional(to_json(data));
  }

 private:
  Result<> destroy(const Record& record, Purge purge) const override {
    if (record.backend_data.is_null()) return {};  // nothing was made
    NX_TRY(const Cluster* there, cluster());
    NX_CHECK(remove_boot_file(*there, record.backend_data));
    // An update that was killed has left a file, too.
    if (const auto data = guest_data(record.backend_data); data && data->update)
      NX_CHECK(remove_upload(there->on(data->name.node), data->update->stand_in));
    // Killed before there was a VMID for it.
    const auto name = guest_name(record.backend_data);
    return name ? destroy_guest(*there, *name, purge) : Result<>();
  }
};

/// The guest's accounts are in the guest: numbers are all that can be looked up from here.
Result<std::string> MachineBackend::accounts(const Record& record) const {
  return record.state_dir;
}

}  // namespace

std::unique_ptr<Backend> make_vm(const Setup& setup) {
  return std::make_unique<MachineBackend>(setup);
}

}  // namespace nexcage::backends::proxmox
