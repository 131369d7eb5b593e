// The API cannot put a volume in the place of a root; but it moves a mount point of one guest to
// another, and a root is one setting among others. So: a second guest is made of the new image, its
// root becomes a mount point of it, the mount point goes to the first guest as an unused volume,
// and one change of its settings makes that the root. Until that change the first guest is
// untouched.
#include "nexcage/backends/proxmox/swap.h"

#include <algorithm>
#include <optional>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/answer.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr int kTries = 20;

std::string volume_of(const std::string& setting) { return setting.substr(0, setting.find(',')); }

/// The volume with its size, which is information for people, and no other option.
std::string with_size(const std::string& setting) {
  for (const std::string& part : split(setting, ','))
    if (part.starts_with("size=")) return volume_of(setting) + "," + part;
  return volume_of(setting);
}

std::string text_of(const pve::Params& params, const std::string& name) {
  const auto found = params.find(name);
  return found == params.end() ? std::string() : found->second;
}

std::string free_unused(const pve::Params& config, unsigned from = 0) {
  while (config.contains("unused" + std::to_string(from))) ++from;
  return "unused" + std::to_string(from);
}

/// The second guest. Destroyed with everything it still has when this goes.
class Carrier {
 public:
  Carrier(const Cluster& cluster, GuestName name) : cluster_(cluster), name_(std::move(name)) {}
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;
  ~Carrier() {
    if (auto gone = destroy_guest(cluster_, name_); !gone)
      log::warning("guest " + std::to_string(name_.vmid) +
                   " of the update is left: " + gone.error().message());
  }
  std::uint64_t vmid() const { return name_.vmid; }

 private:
  const Cluster& cluster_;
  GuestName name_;
};

/// A guest of the new image, with nothing but its root, on the old root's storage.
Result<GuestName> make_carrier(const Cluster& cluster, const CreateJob& job,
                               const StorageInfo& storage, const std::string& libexec) {
  NX_TRY(const std::string token, sys::random_hex(16));
  NX_TRY(const std::string notes, pve::print_notes({.token = token,
                                                    .id = job.id + ".update",
                                                    .image = job.image->reference,
                                                    .digest = job.image->digest,
                                                    .rest = {},
                                                    .kept = {}}));
  std::optional<std::uint64_t> base;
  Template archive;
  if (storage.can_clone()) {
    NX_TRY(base, ensure_template_guest(cluster, *job.image, storage, libexec));
  } else {
    NX_TRY(archive, ensure_template(cluster, *job.image, libexec));
  }
  const std::string& pool = cluster.setup().pool;
  for (int tries = 1;; ++tries) {
    NX_TRY(const std::uint64_t vmid, cluster.free_vmid());
    GuestName name{.vmid = vmid, .node = cluster.node(), .token = token};
    pve::Params params = {{"description", notes}, {"hostname", "nexcage-update"}};
    if (!pool.empty()) params["pool"] = pool;
    std::string path = cluster.lxc_path();
    if (base) {
      path = cluster.lxc_path(*base) + "/clone";
      params["newid"] = std::to_string(vmid);
    } else {
      params["vmid"] = std::to_string(vmid);
      params["ostemplate"] = archive.volume;
      params["ostype"] = "unmanaged";
      params["unprivileged"] = "1";
      params["tags"] = pve::kTag;
      params["rootfs"] = storage.name + ":" + root_size(archive.archive_bytes);
    }
    auto made = cluster.api().run("POST", path, params);
    if (made) return name;
    if (pve::says_taken(made.error()) && tries < kTries) continue;
    Error error = std::move(made).error();
    if (auto undone = destroy_guest(cluster, name);
        !undone && undone.error().code() != Errc::InvalidState)
      error = std::move(error).also(std::move(undone).error());
    return fail(std::move(error));
  }
}

/// A small volume for the second guest to have as its root instead.
Result<std::string> make_stand_in(const Cluster& cluster, const StorageInfo& storage,
                                  std::uint64_t vmid) {
  const bool is_subvolume = storage.has_subvolumes();
  std::string name = (is_subvolume ? "subvol-" : "vm-") + std::to_string(vmid) + "-disk-99";
  const bool is_file = storage.type == "dir" || storage.type == "nfs" || storage.type == "cifs";
  if (is_file) name += ".raw";
  pve::Params params = {{"vmid", std::to_string(vmid)}, {"filename", name}, {"size", "8M"}};
  if (is_subvolume) params["format"] = "subvol";
  NX_TRY(const json::Value volume,
         cluster.api().call("POST", cluster.node_path() + "/storage/" + storage.name + "/content",
                            params));
  return volume.text();
}

/// Brings the root of the second guest to the first, as an unused volume; its new name.
Result<std::string> hand_over(const Cluster& cluster, const StorageInfo& storage,
                              std::uint64_t from, std::uint64_t to) {
  NX_TRY(const auto source, cluster.config(from));
  if (!source) return fail(Errc::ProxmoxError, "guest " + std::to_string(from) + " is gone");
  const std::string root = volume_of(text_of(*source, "rootfs"));
  NX_TRY(const std::string stand_in, make_stand_in(cluster, storage, from));
  NX_CHECK(cluster.set(from, {{"rootfs", stand_in}, {"mp0", root + ",mp=/nexcage"}}));
  NX_TRY(const auto target, cluster.config(to));
  if (!target) return fail(Errc::ProxmoxError, "guest " + std::to_string(to) + " is gone");
  const std::string key = free_unused(*target);
  NX_CHECK(cluster.api().run(
      "POST", cluster.lxc_path(from) + "/move_volume",
      {{"volume", "mp0"}, {"target-vmid", std::to_string(to)}, {"target-volume", key}}));
  NX_TRY(const auto moved, cluster.config(to));
  std::string volume = moved ? volume_of(text_of(*moved, key)) : std::string();
  if (volume.empty()) return fail(Errc::ProxmoxError, "the new root did not arrive as " + key);
  const std::string old_name = with_size(text_of(*source, "rootfs"));
  return volume + old_name.substr(root.size());
}

Result<bool> is_running(const Cluster& cluster, std::uint64_t vmid) {
  NX_TRY(const json::Value status,
         cluster.api().call("GET", cluster.lxc_path(vmid) + "/status/current", {}));
  return status.text("status") == "running";
}

Result<> stop(const Cluster& cluster, std::uint64_t vmid) {
  return cluster.api().run("POST", cluster.lxc_path(vmid) + "/status/shutdown",
                           {{"timeout", "30"}, {"forceStop", "1"}});
}
Result<> start(const Cluster& cluster, std::uint64_t vmid) {
  return cluster.api().run("POST", cluster.lxc_path(vmid) + "/status/start", {});
}

/// Removes the setting `unusedN` of a volume, and with it the volume, unless the guest uses it.
Result<> forget_unused(const Cluster& cluster, std::uint64_t vmid, const std::string& volume) {
  NX_TRY(const auto config, cluster.config(vmid));
  if (!config) return {};
  for (const auto& [name, value] : *config)
    if (name.starts_with("unused") && volume_of(value) == volume)
      return cluster.set(vmid, {{"delete", name}});
  return {};
}

/// The change that matters, and its way back.
struct Exchange {
  pve::Params changes, before;
  std::vector<std::string> added;  // settings that were not there
};

/// Settings of the new root; the old one stays known to Proxmox VE as unused.
Exchange plan_exchange(const pve::Params& config, const std::string& new_root,
                       const pve::Params& changes) {
  Exchange plan{.changes = changes, .before = {}, .added = {}};
  const std::string old_root = config.at("rootfs");
  const std::size_t options = old_root.find(',');
  std::string kept;
  for (const std::string& part :
       split(options == std::string::npos ? "" : old_root.substr(options + 1), ','))
    if (!part.empty() && !part.starts_with("size=")) kept += "," + part;
  plan.changes["rootfs"] = new_root + kept;
  for (const auto& [name, value] : plan.changes) {
    const auto found = config.find(name);
    if (found == config.end())
      plan.added.push_back(name);
    else
      plan.before[name] = found->second;
  }
  // The old root's place among the unused: not the one that the new root has now.
  plan.changes[free_unused(config)] = volume_of(old_root);
  return plan;
}

/// Carries it out on a stopped guest and starts it if it ran; takes it back on an error.
Result<> exchange(const Cluster& cluster, std::uint64_t vmid, const Exchange& plan,
                  bool was_running) {
  if (was_running) NX_CHECK(stop(cluster, vmid));
  auto done = cluster.set(vmid, plan.changes);
  if (done && was_running) done = start(cluster, vmid);
  if (done) return {};
  Error error = std::move(done).error();
  NX_TRY(const auto now, cluster.config(vmid));
  const bool is_changed =
      now && volume_of(text_of(*now, "rootfs")) == volume_of(plan.changes.at("rootfs"));
  Result<> undone;
  if (is_changed) {
    pve::Params back = plan.before;
    if (!plan.added.empty()) back["delete"] = join(plan.added, ",");
    undone = cluster.set(vmid, back);
    if (undone) undone = forget_unused(cluster, vmid, volume_of(plan.before.at("rootfs")));
  }
  if (undone && was_running) {
    NX_TRY(const bool runs, is_running(cluster, vmid));
    if (!runs) undone = start(cluster, vmid);
  }
  if (!undone) error = std::move(error).also(std::move(undone).error());
  return fail(std::move(error));
}

/// What of the settings belongs to the image: changed with the root, and kept with it.
pve::Params image_settings(const pve::Mapped& mapped) {
  pve::Params out;
  for (const char* name : {"env", "entrypoint", "cmode"})
    if (const std::string value = text_of(mapped.params, name); !value.empty()) out[name] = value;
  return out;
}

pve::Generation generation_of(const FoundGuest& guest) {
  return {.volume = guest.config.at("rootfs"),
          .image = guest.notes.image,
          .digest = guest.notes.digest,
          .env = text_of(guest.config, "env"),
          .entrypoint = text_of(guest.config, "entrypoint"),
          .rest = guest.notes.rest};
}

Result<FoundGuest> must_find(const Cluster& cluster, const GuestName& name) {
  NX_TRY(auto found, find_guest(cluster, name));
  if (found) return std::move(*found);
  return fail(Errc::ContainerNotFound,
              "guest " + std::to_string(name.vmid) + " is gone from node " + name.node);
}

Result<StorageInfo> storage_of(const Cluster& cluster, const std::string& root) {
  return cluster.storage_for("rootdir", root.substr(0, root.find(':')));
}

std::string other_tags(const std::string& tags, const std::string& digest) {
  std::vector<std::string> kept;
  for (std::string& tag : split(tags, ';'))
    if (!tag.empty() && !tag.starts_with(pve::kTagPrefix)) kept.push_back(std::move(tag));
  kept.push_back(std::string(pve::kTagPrefix) + digest.substr(digest.find(':') + 1, 24));
  return join(kept, ";");
}

/// Roots that are older than what is kept. That one cannot go is no failure of the update.
void drop_old(const Cluster& cluster, std::uint64_t vmid,
              const std::vector<pve::Generation>& dropped) {
  for (const pve::Generation& one : dropped)
    if (auto gone = forget_unused(cluster, vmid, volume_of(one.volume)); !gone)
      log::warning("old root " + volume_of(one.volume) + ": " + gone.error().message());
}

}  // namespace

Result<> swap_image(const Cluster& given, const GuestName& name, const CreateJob& job,
                    const std::string& libexec) {
  const Cluster cluster = given.on(name.node);
  NX_TRY(const FoundGuest before, must_find(cluster, name));
  NX_TRY(const StorageInfo storage, storage_of(cluster, before.config.at("rootfs")));
  NX_TRY(const pve::Mapped mapped, plan_guest(cluster, job, storage));
  pve::Notes notes = before.notes;
  notes.image = job.image->reference;
  notes.digest = job.image->digest;
  notes.rest = mapped.rest;
  notes.kept.insert(notes.kept.begin(), generation_of(before));
  std::vector<pve::Generation> dropped;
  const auto most = static_cast<std::size_t>(std::max(1, cluster.setup().generations));
  while (notes.kept.size() > most) {
    dropped.push_back(std::move(notes.kept.back()));
    notes.kept.pop_back();
  }
  pve::Params changes = image_settings(mapped);
  NX_TRY(changes["description"], pve::print_notes(notes));
  changes["tags"] = other_tags(text_of(before.config, "tags"), notes.digest);

  NX_TRY(GuestName second, make_carrier(cluster, job, storage, libexec));
  std::string new_root;
  {
    const Carrier carrier(cluster, std::move(second));
    NX_TRY(new_root, hand_over(cluster, storage, carrier.vmid(), name.vmid));
  }
  const auto swap = [&]() -> Result<> {
    NX_TRY(const FoundGuest now, must_find(cluster, name));
    NX_TRY(const bool was_running, is_running(cluster, name.vmid));
    return exchange(cluster, name.vmid, plan_exchange(now.config, new_root, changes), was_running);
  };
  if (auto done = swap(); !done) {
    Error error = std::move(done).error();
    if (auto gone = forget_unused(cluster, name.vmid, volume_of(new_root)); !gone)
      error = std::move(error).also(std::move(gone).error());
    return fail(std::move(error));
  }
  if (auto tidy = forget_unused(cluster, name.vmid, volume_of(new_root)); !tidy)
    log::warning("guest " + std::to_string(name.vmid) + ": " + tidy.error().message());
  drop_old(cluster, name.vmid, dropped);
  return {};
}

Result<> swap_back(const Cluster& given, const GuestName& name) {
  const Cluster cluster = given.on(name.node);
  NX_TRY(const FoundGuest before, must_find(cluster, name));
  if (before.notes.kept.empty())
    return fail(Error(Errc::InvalidState, "no earlier root of the guest is kept")
                    .hint("`nexcage update ID --image REF` keeps one"));
  pve::Notes notes = before.notes;
  const pve::Generation old = std::move(notes.kept.front());
  notes.kept.erase(notes.kept.begin());
  const pve::Generation leaving = generation_of(before);
  notes.image = old.image;
  notes.digest = old.digest;
  notes.rest = old.rest;
  pve::Params changes;
  if (!old.env.empty()) changes["env"] = old.env;
  if (!old.entrypoint.empty()) changes["entrypoint"] = old.entrypoint;
  NX_TRY(changes["description"], pve::print_notes(notes));
  changes["tags"] = other_tags(text_of(before.config, "tags"), notes.digest);
  NX_TRY(const bool was_running, is_running(cluster, name.vmid));
  NX_CHECK(exchange(cluster, name.vmid,
                    plan_exchange(before.config, with_size(old.volume), changes), was_running));
  // What was rolled back from is of no use any more; the root that came back is unused no longer.
  drop_old(cluster, name.vmid, {leaving, old});
  return {};
}

}  // namespace nexcage::backends::proxmox
