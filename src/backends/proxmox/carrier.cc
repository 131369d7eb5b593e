#include "nexcage/backends/proxmox/carrier.h"

#include <algorithm>
#include <optional>

#include "nexcage/backends/proxmox/volumes.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/answer.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr int kTries = 20;

/// How it is made, without its VMID.
struct Recipe {
  pve::Params params;
  std::optional<std::uint64_t> base;  // the template guest that it is a clone of
};

Result<Recipe> plan_carrier(const Swap& swap, const CreateJob& job, const StorageInfo& storage,
                            const pve::Params& config, const std::string& libexec) {
  const Cluster& cluster = swap.cluster;
  // The template guest is an unprivileged one, and its clones are what it is.
  const bool has_privileges = text_of(config, "unprivileged") != "1";
  Recipe recipe{.params = {{"hostname", "nexcage-update"}}, .base = {}};
  if (!cluster.setup().pool.empty()) recipe.params["pool"] = cluster.setup().pool;
  if (storage.can_clone() && !has_privileges) {
    NX_TRY(recipe.base,
           ensure_template_guest(cluster, *job.image, storage, libexec, swap.templates));
    return recipe;
  }
  NX_TRY(const Template archive, ensure_template(cluster, *job.image, libexec, swap.templates));
  const std::uint64_t needed = parse_u64(root_size(archive.archive_bytes)).value_or(0);
  const std::uint64_t size = std::max(needed, gib_of(text_of(config, "rootfs")));
  recipe.params["ostemplate"] = archive.volume;
  recipe.params["ostype"] = "unmanaged";
  recipe.params["unprivileged"] = has_privileges ? "0" : "1";
  recipe.params["tags"] = pve::kTag;
  recipe.params["rootfs"] = storage.name + ":" + std::to_string(size);
  return recipe;
}

/// A clone has the size of its template: the guest may have been given more.
Result<> grow(const Cluster& cluster, std::uint64_t vmid, std::uint64_t gib) {
  NX_TRY(const auto config, cluster.config(vmid));
  if (!config) return fail(Errc::ProxmoxError, "guest " + std::to_string(vmid) + " is gone");
  const std::uint64_t now = gib_of(text_of(*config, "rootfs"));
  if (now == 0 || now >= gib) return {};
  return cluster.api().run("PUT", cluster.guest_path(vmid) + "/resize",
                           {{"disk", "rootfs"}, {"size", std::to_string(gib) + "G"}});
}

/// A small volume for the second guest to have as its root instead.
Result<std::string> make_stand_in(const Swap& swap, const StorageInfo& storage,
                                  std::uint64_t vmid) {
  const bool is_subvolume = storage.has_subvolumes();
  std::string name = (is_subvolume ? "subvol-" : "vm-") + std::to_string(vmid) + "-disk-99";
  if (storage.is_file_based()) name += ".raw";
  swap.journal().storage = storage.name;
  swap.journal().stand_in = name;
  NX_CHECK(swap.save());
  pve::Params params = {{"vmid", std::to_string(vmid)}, {"filename", name}, {"size", "8M"}};
  if (is_subvolume) params["format"] = "subvol";
  const std::string path = swap.cluster.node_path() + "/storage/" + storage.name + "/content";
  NX_TRY(const json::Value volume, swap.cluster.api().call("POST", path, params));
  return volume.text();
}

/// The stand-in if no guest has it: it is on the storage under its name.
Result<> drop_stand_in(const Cluster& cluster, const SwapJournal& journal, std::uint64_t vmid) {
  const std::string path = cluster.node_path() + "/storage/" + journal.storage + "/content";
  NX_TRY(const json::Value content,
         cluster.api().call("GET", path, {{"vmid", std::to_string(vmid)}}));
  if (content.if_array() == nullptr) return {};
  for (const json::Value& one : *content.if_array()) {
    const std::string volume = one.text("volid");
    if (volume.ends_with(":" + journal.stand_in) || volume.ends_with("/" + journal.stand_in))
      return cluster.api().run("DELETE", path + "/" + volume, {});
  }
  return {};
}

}  // namespace

Result<> make_carrier(const Swap& swap, const CreateJob& job, const StorageInfo& storage,
                      const pve::Params& config, const std::string& libexec) {
  const Cluster& cluster = swap.cluster;
  NX_TRY(const std::string token, sys::random_hex(16));
  NX_TRY(Recipe recipe, plan_carrier(swap, job, storage, config, libexec));
  NX_TRY(recipe.params["description"], pve::print_notes({.token = token,
                                                         .id = job.id + ".update",
                                                         .image = job.image->reference,
                                                         .digest = job.image->digest,
                                                         .rest = {},
                                                         .kept = {}}));
  for (int tries = 1;; ++tries) {
    NX_TRY(const std::uint64_t vmid, cluster.free_vmid());
    swap.journal().carrier = GuestName{.vmid = vmid, .node = cluster.node(), .token = token};
    NX_CHECK(swap.save());
    recipe.params[recipe.base ? "newid" : "vmid"] = std::to_string(vmid);
    auto made = recipe.base ? clone_template(cluster, *recipe.base, recipe.params)
                            : cluster.make(recipe.params);
    if (made) break;
    const bool is_taken = pve::says_taken(made.error());
    if (is_taken) swap.journal().carrier.reset();
    if (!is_taken || tries >= kTries) return made;
  }
  return recipe.base
             ? grow(cluster, swap.journal().carrier->vmid, gib_of(text_of(config, "rootfs")))
             : Result<>();
}

Result<std::string> hand_over(const Swap& swap, const StorageInfo& storage) {
  const Cluster& cluster = swap.cluster;
  const std::uint64_t from = swap.journal().carrier->vmid, to = swap.data.name.vmid;
  NX_TRY(const auto source, cluster.config(from));
  if (!source) return fail(Errc::ProxmoxError, "guest " + std::to_string(from) + " is gone");
  const std::string root = text_of(*source, "rootfs");
  NX_TRY(const std::string stand_in, make_stand_in(swap, storage, from));
  NX_CHECK(cluster.set(from, {{"rootfs", stand_in}, {"mp0", volume_of(root) + ",mp=/nexcage"}}));
  NX_TRY(const auto target, cluster.config(to));
  if (!target) return fail(Errc::ProxmoxError, "guest " + std::to_string(to) + " is gone");
  const std::string key = free_unused(*target);
  swap.journal().key = key;
  swap.journal().had = volumes_in(*target);
  NX_CHECK(swap.save());
  NX_CHECK(cluster.api().run(
      "POST", cluster.guest_path(from) + "/move_volume",
      {{"volume", "mp0"}, {"target-vmid", std::to_string(to)}, {"target-volume", key}}));
  NX_TRY(const auto moved, cluster.config(to));
  const std::string volume = moved ? volume_of(text_of(*moved, key)) : std::string();
  if (volume.empty()) return fail(Errc::ProxmoxError, "the new root did not arrive as " + key);
  swap.journal().new_root = volume;
  NX_CHECK(swap.save());
  return volume + with_size(root).substr(volume_of(root).size());
}

Result<> drop_carrier(const Cluster& cluster, SwapJournal& journal) {
  if (!journal.carrier) return {};
  auto gone = destroy_guest(cluster, *journal.carrier);
  // Somebody else has the VMID: ours was never made.
  const bool was_not_made = !gone && gone.error().code() == Errc::InvalidState;
  if (!gone && !was_not_made) return gone;
  if (!was_not_made && !journal.stand_in.empty())
    NX_CHECK(drop_stand_in(cluster, journal, journal.carrier->vmid));
  journal.carrier.reset();
  journal.stand_in.clear();
  return {};
}

}  // namespace nexcage::backends::proxmox
