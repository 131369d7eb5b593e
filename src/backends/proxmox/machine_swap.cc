// Proxmox VE puts a disk that another one takes the place of among the unused volumes, and back
// from there by its name: so an exchange is one change of the settings, and its way back another.
#include "nexcage/backends/proxmox/machine_swap.h"

#include <algorithm>
#include <array>

#include "nexcage/backends/proxmox/power.h"
#include "nexcage/backends/proxmox/swap.h"
#include "nexcage/backends/proxmox/volumes.h"
#include "nexcage/base/log.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr std::chrono::seconds kStopTime{30};
constexpr std::array<const char*, 2> kDisks = {"virtio0", "virtio1"};
constexpr const char* kRoot = "virtio1";
/// What an exchange changes.
constexpr std::array<const char*, 4> kChanged = {"virtio0", "virtio1", "description", "tags"};

/// An update of one machine: what it has done is written before it goes on.
struct MachineSwap {
  Cluster cluster;  // on the machine's node
  GuestData& data;
  const Remember& remember;
  FoundGuest before;

  SwapJournal& journal() const { return *data.update; }
  std::uint64_t vmid() const { return data.name.vmid; }
  Result<> save() const { return remember(to_json(data)); }
};

Result<MachineSwap> begin(const Cluster& given, GuestData& data, const Remember& remember) {
  NX_TRY(auto found, find_guest(given, data.name));
  if (!found)
    return fail(Errc::ContainerNotFound,
                "guest " + std::to_string(data.name.vmid) + " is gone from the cluster");
  data.name = found->name;
  data.update.emplace();
  return MachineSwap{.cluster = given.on(data.name.node),
                     .data = data,
                     .remember = remember,
                     .before = std::move(*found)};
}

pve::Generation disks_of(const FoundGuest& machine) {
  pve::Generation one{.volume = with_size(text_of(machine.config, kRoot)),
                      .image = machine.notes.image,
                      .digest = machine.notes.digest};
  for (const char* disk : kDisks) one.settings[disk] = text_of(machine.config, disk);
  return one;
}

/// Notes and tags for an image.
Result<> describe(pve::Params& changes, const FoundGuest& machine, const pve::Generation& image,
                  const std::vector<pve::Generation>& kept) {
  pve::Notes notes = machine.notes;
  notes.image = image.image;
  notes.digest = image.digest;
  notes.kept = kept;
  NX_TRY(changes["description"], pve::print_notes(notes));
  changes["tags"] = tags_for(text_of(machine.config, "tags"), image.digest);
  return {};
}

/// Stops the machine, changes it, starts it again. Its new root's volume.
Result<std::string> exchange(const MachineSwap& swap, pve::Params changes, bool grows) {
  SwapJournal& journal = swap.journal();
  NX_TRY(journal.stops_guest, is_running(swap.cluster, swap.vmid()));
  NX_CHECK(swap.save());
  if (journal.stops_guest) NX_CHECK(stop_guest(swap.cluster, swap.vmid(), kStopTime));
  // Read now: with its end pending changes have come into force.
  NX_TRY(const auto now, find_guest(swap.cluster, swap.data.name));
  if (!now) return fail(Errc::InvalidState, "the machine is gone meanwhile");
  for (const char* name : kChanged) journal.before[name] = text_of(now->config, name);
  journal.had = volumes_in(now->config);
  NX_CHECK(swap.save());
  changes["digest"] = text_of(now->config, "digest");
  // POST, as its disks may take a while: a task.
  NX_CHECK(
      swap.cluster.api().run("POST", swap.cluster.guest_path(swap.vmid()) + "/config", changes));
  const std::uint64_t size = gib_of(journal.before[kRoot]);
  if (grows) NX_CHECK(grow_root(swap.cluster, swap.vmid(), size));
  NX_TRY(const auto changed, find_guest(swap.cluster, swap.data.name));
  const std::string root = changed ? volume_of(text_of(changed->config, kRoot)) : std::string();
  if (root.empty() || root == volume_of(journal.before[kRoot]))
    return fail(Errc::ProxmoxError, "the machine did not take its new disks");
  if (journal.stops_guest) NX_CHECK(start_guest(swap.cluster, swap.vmid()));
  return root;
}

std::vector<std::string> volumes_of(const pve::Generation& one) {
  std::vector<std::string> out;
  for (const char* disk : kDisks) out.push_back(volume_of(text_of(one.settings, disk)));
  return out;
}

/// From the moment that the record says that it is done there is no way back but a rollback.
Result<> complete(const MachineSwap& swap, const std::string& root,
                  std::vector<pve::Generation> kept, const std::vector<std::string>& spare) {
  GuestData& data = swap.data;
  const std::string upload = swap.journal().stand_in;
  // A file too many is no failure of the update, and must not lead to its being taken back.
  if (!upload.empty())
    if (auto gone = remove_upload(swap.cluster, upload); !gone)
      log::warning("volume " + upload + " stays: " + gone.error().message());
  data.root = root;
  data.kept = std::move(kept);
  data.spare.insert(data.spare.end(), spare.begin(), spare.end());
  ++data.changes;
  data.update.reset();
  NX_CHECK(swap.save());
  tidy(swap.cluster, data);
  return swap.save();
}

/// Settings as the journal has them, and no volume that the machine had not before.
Result<> restore(const Cluster& cluster, const GuestData& data) {
  const SwapJournal& journal = *data.update;
  if (journal.before.empty()) return {};
  NX_TRY(const bool runs, is_running(cluster, data.name.vmid));
  if (runs) NX_CHECK(stop_guest(cluster, data.name.vmid, kStopTime));
  // Also when they look as before: the task of a command that was killed may still be at work, and
  // holds the lock that this needs.
  pve::Params request = journal.before;
  std::erase_if(request, [](const auto& entry) { return entry.second.empty(); });
  NX_CHECK(cluster.set(data.name.vmid, request));
  NX_TRY(const auto now, cluster.config(data.name.vmid));
  if (!now) return {};
  const std::string root = volume_of(text_of(journal.before, kRoot));
  for (const std::string& volume : volumes_in(*now))
    if (std::ranges::find(journal.had, volume) == journal.had.end())
      NX_CHECK(forget_unused(cluster, data.name, volume, root));
  return {};
}

Result<> take_back(const Cluster& given, GuestData& data) {
  if (!data.update) return {};
  const Cluster cluster = given.on(data.name.node);
  if (!data.update->stand_in.empty()) NX_CHECK(remove_upload(cluster, data.update->stand_in));
  auto found = find_guest(given, data.name);
  const bool is_foreign = !found && found.error().code() == Errc::InvalidState;
  if (!found && !is_foreign) return fail(std::move(found).error());
  if (!is_foreign && *found) {
    data.name = (*found)->name;
    const Cluster there = given.on(data.name.node);
    NX_CHECK(restore(there, data));
    if (data.update->stops_guest) NX_CHECK(start_guest(there, data.name.vmid));
  }
  data.update.reset();
  return {};
}

Result<> give_up(const MachineSwap& swap, NewTemplates& templates, Error error) {
  auto undone = take_back(swap.cluster, swap.data);
  const bool is_back = undone.has_value();
  if (is_back) undone = remove_new(swap.cluster, templates);
  if (!undone) error = std::move(error).also(std::move(undone).error());
  if (!is_back)
    error = std::move(error).hint(
        "the next `nexcage update`, `start`, `create` or `delete` tries again to take it back");
  if (auto saved = swap.save(); !saved) error = std::move(error).also(std::move(saved).error());
  return fail(std::move(error));
}

Result<std::string> replace(const MachineSwap& swap, const CreateJob& job, const Setup& setup,
                            const std::vector<pve::Generation>& kept, NewTemplates& templates) {
  const pve::Params& config = swap.before.config;
  NX_TRY(MachinePlan plan, plan_machine_guest(swap.cluster, job, setup.vm, config));
  const std::string old_root = text_of(config, kRoot);
  NX_TRY(const StorageInfo storage,
         swap.cluster.storage_for("images", old_root.substr(0, old_root.find(':'))));
  NX_TRY(MachineDisks disks, make_disks(swap.cluster, job, setup, std::move(plan.interfaces)));
  swap.journal().stand_in = disks.boot_volume;
  NX_CHECK(swap.save());
  NX_CHECK(bring_disks(swap.cluster, job, disks, templates));
  NX_TRY(pve::Params changes, disk_settings(disks, storage.name));
  const pve::Generation image{
      .volume = {}, .image = job.image->reference, .digest = job.image->digest};
  NX_CHECK(describe(changes, swap.before, image, kept));
  return exchange(swap, std::move(changes), true);
}

}  // namespace

Result<> swap_machine(const Cluster& given, GuestData& data, const CreateJob& job,
                      const Setup& setup) {
  NX_TRY(const MachineSwap swap, begin(given, data, job.image->remember));
  std::vector<pve::Generation> kept = data.kept;
  kept.insert(kept.begin(), disks_of(swap.before));
  std::vector<std::string> dropped;
  const auto most = static_cast<std::size_t>(std::max(0, given.setup().generations));
  for (; kept.size() > most; kept.pop_back())
    for (std::string& volume : volumes_of(kept.back())) dropped.push_back(std::move(volume));
  NewTemplates templates;
  auto root = replace(swap, job, setup, kept, templates);
  if (!root) return give_up(swap, templates, std::move(root).error());
  return complete(swap, *root, std::move(kept), dropped);
}

Result<> swap_machine_back(const Cluster& given, GuestData& data, const Remember& remember) {
  if (data.kept.empty())
    return fail(Error(Errc::InvalidState, "no earlier root of the guest is kept")
                    .hint("`nexcage update ID --image REF` keeps one"));
  NX_TRY(const MachineSwap swap, begin(given, data, remember));
  const pve::Generation old = data.kept.front();
  for (const std::string& volume : volumes_of(old)) {
    NX_TRY(const bool is_there, has_volume(swap.cluster, swap.vmid(), volume));
    if (is_there && !unused_of(swap.before.config, volume).empty()) continue;
    data.update.reset();
    return fail(Error(Errc::InvalidState, "the earlier disk " + volume + " is gone")
                    .hint("somebody has removed it: the guest stays as it is"));
  }
  const std::vector<pve::Generation> kept(data.kept.begin() + 1, data.kept.end());
  pve::Params changes = old.settings;
  NX_CHECK(describe(changes, swap.before, old, kept));
  const std::vector<std::string> leaving = volumes_of(disks_of(swap.before));
  NewTemplates none;
  auto root = exchange(swap, std::move(changes), false);
  if (!root) return give_up(swap, none, std::move(root).error());
  return complete(swap, *root, kept, leaving);
}

Result<> settle_machine(const Cluster& given, GuestData& data) {
  if (data.update) return take_back(given, data);
  return settle_done(given, data);
}

}  // namespace nexcage::backends::proxmox
