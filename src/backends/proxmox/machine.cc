#include "nexcage/backends/proxmox/machine.h"

#include <unistd.h>

#include <algorithm>

#include "nexcage/backends/proxmox/templates.h"
#include "nexcage/backends/proxmox/volumes.h"
#include "nexcage/backends/vm/standalone.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/answer.h"
#include "nexcage/pve/property_string.h"
#include "nexcage/pve/settings.h"
#include "nexcage/sys/fs.h"
#include "nexcage/vm/boot/boot_disk.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr int kTries = 20;
constexpr const char* kBootVolume = "boot";  // of backend_data: a file that is to go

/// What the record remembers: the guest, and the boot disk's file as long as it is there.
json::Value remembered(const GuestName& name, const std::string& boot_volume) {
  json::Object out = *to_json(name).if_object();
  if (!boot_volume.empty()) out.set(kBootVolume, boot_volume);
  return json::Value(std::move(out));
}

/// The disk with kernel, agent and this container's record, as a file.
Result<std::string> make_boot_file(const CreateJob& job, const Setup& setup,
                                   std::vector<nexcage::vm::protocol::Interface> interfaces) {
  NX_TRY(const int signal, pve::stop_signal(job.spec), "stop signal");
  NX_TRY(const auto record, backends::vm::plan_standalone(job, std::move(interfaces), signal));
  nexcage::vm::boot::BootDisk disk{.kernel = {},
                                   .init = setup.libexec + "/init",
                                   .record = nexcage::vm::protocol::encode(record),
                                   .file_systems = {"ext4"}};
  NX_TRY(disk.kernel, backends::vm::machine_kernel(job.spec, setup.vm));
  std::string file = job.image->work + "/boot.raw";
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + file);
  NX_CHECK(nexcage::vm::boot::make_boot_disk(disk, file), "boot disk");
  return file;
}

}  // namespace

Result<> remove_upload(const Cluster& cluster, const std::string& volume) {
  const std::string storage = volume.substr(0, volume.find(':'));
  auto gone = cluster.api().run(
      "DELETE", cluster.node_path() + "/storage/" + storage + "/content/" + volume, {});
  return !gone && pve::says_missing(gone.error()) ? Result<>() : gone;
}

Result<MachineDisks> make_disks(const Cluster& cluster, const CreateJob& job, const Setup& setup,
                                std::vector<nexcage::vm::protocol::Interface> interfaces) {
  NX_TRY(const StorageInfo uploads,
         cluster.storage_for("import", cluster.setup().template_storage));
  NX_TRY(const std::string number, sys::random_hex(16));
  MachineDisks disks;
  disks.boot_volume = uploads.name + ":import/nexcage-" + number + "-boot.raw";
  NX_TRY(disks.boot_file, make_boot_file(job, setup, std::move(interfaces)));
  return disks;
}

Result<> bring_disks(const Cluster& cluster, const CreateJob& job, MachineDisks& disks,
                     NewTemplates& templates) {
  NX_TRY(disks.root_volume, ensure_root_disk(cluster, *job.image, templates));
  const std::size_t colon = disks.boot_volume.find(':'), slash = disks.boot_volume.rfind('/');
  auto done = cluster.api().upload(cluster.node(), disks.boot_volume.substr(0, colon),
                                   {.path = disks.boot_file,
                                    .name = disks.boot_volume.substr(slash + 1),
                                    .content = "import",
                                    .sha256 = {}});
  (void)::unlink(disks.boot_file.c_str());
  NX_CHECK(std::move(done), "boot disk");
  return {};
}

Result<pve::Params> disk_settings(const MachineDisks& disks, const std::string& storage) {
  const auto disk = [&](const std::string& from, const std::string& serial) {
    return pve::Properties()
        .set("", storage + ":0")
        .set("import-from", from)
        .set("serial", serial)
        .print("disk");
  };
  pve::Params out;
  NX_TRY(out["virtio0"], disk(disks.boot_volume, "nexcage-boot"));
  NX_TRY(out["virtio1"], disk(disks.root_volume, backends::vm::kRootSerial));
  return out;
}

Result<> grow_root(const Cluster& cluster, std::uint64_t vmid, std::uint64_t least_gib) {
  NX_TRY(const auto config, cluster.config(vmid));
  if (!config) return fail(Errc::ProxmoxError, "VM " + std::to_string(vmid) + " is gone");
  const std::uint64_t now = gib_of(text_of(*config, "virtio1"));
  const std::uint64_t wanted = std::max({std::uint64_t{4}, now * 2, least_gib});
  return cluster.api().run("PUT", cluster.guest_path(vmid) + "/resize",
                           {{"disk", "virtio1"}, {"size", std::to_string(wanted) + "G"}});
}

namespace {

/// One attempt at making one machine, with what it needs.
struct Making {
  const Cluster& cluster;
  const CreateJob& job;
  pve::Params params;
  MachineDisks disks;
  GuestName name;

  Result<> make() const {
    pve::Params all = params;
    all["vmid"] = std::to_string(name.vmid);
    NX_CHECK(cluster.make(all));
    return grow_root(cluster, name.vmid, 0);
  }
};

/// Takes away what a failed attempt has made. What is remembered afterwards is what is left.
Result<> take_back(const Making& making, NewTemplates& templates, bool is_taken) {
  Result<> undone = is_taken ? Result<>() : destroy_guest(making.cluster, making.name);
  // A guest that is not ours is not to be removed by what the record remembers of it.
  const bool is_foreign = !undone && undone.error().code() == Errc::InvalidState;
  if (!undone && !is_foreign) return undone;
  NX_CHECK(remove_upload(making.cluster, making.disks.boot_volume));
  NX_CHECK(making.job.image->remember(json::Value()));
  return remove_new(making.cluster, templates);
}

/// With other VMIDs as long as somebody takes them before us.
Result<> make_with_free_vmid(Making& making) {
  for (int tries = 1;; ++tries) {
    NX_TRY(making.name.vmid, making.cluster.free_vmid());
    NX_CHECK(making.job.image->remember(remembered(making.name, making.disks.boot_volume)));
    auto made = making.make();
    if (made || !pve::says_taken(made.error()) || tries >= kTries) return made;
  }
}

}  // namespace

Result<json::Value> make_machine(const Cluster& cluster, const CreateJob& job, const Setup& setup,
                                 const StorageInfo& storage, MachinePlan plan) {
  NX_TRY(const std::string token, sys::random_hex(16));
  pve::Notes notes{.token = token,
                   .id = job.id,
                   .image = job.image->reference,
                   .digest = job.image->digest,
                   .rest = {},
                   .kept = {}};
  NX_TRY(plan.params["description"], pve::print_notes(notes));
  Making making{.cluster = cluster,
                .job = job,
                .params = std::move(plan.params),
                .disks = {},
                .name = {.vmid = 0, .node = cluster.node(), .token = token}};
  NX_TRY(making.disks, make_disks(cluster, job, setup, std::move(plan.interfaces)));
  NewTemplates templates;
  const auto make = [&]() -> Result<> {
    // A guest that is none yet: only the file is to be found again.
    NX_CHECK(job.image->remember(remembered(making.name, making.disks.boot_volume)));
    NX_CHECK(bring_disks(cluster, job, making.disks, templates));
    NX_TRY(const pve::Params disks, disk_settings(making.disks, storage.name));
    making.params.insert(disks.begin(), disks.end());
    NX_CHECK(make_with_free_vmid(making));
    NX_CHECK(remove_upload(cluster, making.disks.boot_volume));
    return job.image->remember(to_json(making.name));
  };
  auto made = make();
  if (made) return to_json(making.name);
  Error error = std::move(made).error();
  const bool is_taken = pve::says_taken(error) || making.name.vmid == 0;
  if (auto undone = take_back(making, templates, is_taken); !undone)
    error = std::move(error).also(std::move(undone).error());
  return fail(std::move(error));
}

Result<> remove_boot_file(const Cluster& cluster, const json::Value& backend_data) {
  const std::string volume = backend_data.text(kBootVolume);
  if (volume.empty()) return {};
  return remove_upload(cluster.on(backend_data.text("node")), volume);
}

}  // namespace nexcage::backends::proxmox
