// The API cannot put a volume in the place of a root; but it moves a mount point of one guest to
// another, and a root is one setting among others. So: a second guest is made of the new image, its
// root becomes a mount point of it, the mount point goes to the first guest as an unused volume,
// and one change of its settings makes that the root. Until that change the first guest is
// untouched.
#include "nexcage/backends/proxmox/swap.h"

#include <algorithm>
#include <array>

#include "nexcage/backends/proxmox/exchange.h"
#include "nexcage/backends/proxmox/volumes.h"
#include "nexcage/base/log.h"
#include "nexcage/base/text.h"

namespace nexcage::backends::proxmox {

namespace {

/// What of the settings belongs to the image: changed with the root, and kept with it.
constexpr std::array<const char*, 3> kOfImage = {"env", "entrypoint", "cmode"};

pve::Params image_settings(const pve::Params& params) {
  pve::Params out;
  for (const char* name : kOfImage)
    if (const std::string value = text_of(params, name); !value.empty()) out[name] = value;
  return out;
}

/// These, and those of the image that are not among them are no longer there.
Changes changes_to(pve::Params settings) {
  Changes changes;
  for (const char* name : kOfImage)
    if (!settings.contains(name)) changes.deleted.emplace_back(name);
  changes.set = std::move(settings);
  return changes;
}

pve::Generation generation_of(const FoundGuest& guest) {
  return {.volume = with_size(guest.config.at("rootfs")),
          .image = guest.notes.image,
          .digest = guest.notes.digest,
          .settings = image_settings(guest.config),
          .rest = guest.notes.rest};
}

Result<FoundGuest> must_find(const Cluster& cluster, const GuestName& name) {
  NX_TRY(auto found, find_guest(cluster, name));
  if (found) return std::move(*found);
  return fail(Errc::ContainerNotFound,
              "guest " + std::to_string(name.vmid) + " is gone from the cluster");
}

/// The guest's notes and tags, for an image.
Result<> describe(Changes& changes, const FoundGuest& guest, pve::Notes notes,
                  const std::vector<pve::Generation>& kept) {
  notes.token = guest.notes.token;
  notes.id = guest.notes.id;
  notes.kept = kept;
  NX_TRY(changes.set["description"], pve::print_notes(notes));
  changes.set["tags"] = tags_for(text_of(guest.config, "tags"), notes.digest);
  return {};
}

/// An exchange that has failed is taken back.
Result<> give_up(const Swap& swap, Error error) {
  auto undone = take_back(swap.cluster, swap.data, Undo::own);
  const bool is_back = undone.has_value();
  if (is_back) undone = remove_new(swap.cluster, swap.templates);
  if (!undone) error = std::move(error).also(std::move(undone).error());
  if (!is_back)
    error = std::move(error).hint(
        "the next `nexcage update`, `start`, `create` or `delete` tries again to take it back");
  if (auto saved = swap.save(); !saved) error = std::move(error).also(std::move(saved).error());
  return fail(std::move(error));
}

/// An exchange that is done: from the moment that the record says so there is no way back but
/// swap_back().
Result<> complete(const Swap& swap, const std::string& root, std::vector<pve::Generation> kept,
                  const std::vector<std::string>& spare) {
  GuestData& data = swap.data;
  data.root = root;
  data.kept = std::move(kept);
  data.spare.insert(data.spare.end(), spare.begin(), spare.end());
  ++data.changes;
  data.update.reset();
  NX_CHECK(swap.save());
  // That one cannot go is no failure of the update.
  tidy(swap.cluster, data);
  return swap.save();
}

Result<> replace(const Swap& swap, const FoundGuest& before, const CreateJob& job,
                 const std::string& libexec, std::vector<pve::Generation> kept) {
  const std::string old_root = before.config.at("rootfs");
  NX_TRY(const StorageInfo storage,
         swap.cluster.storage_for("rootdir", old_root.substr(0, old_root.find(':'))));
  NX_TRY(const pve::Mapped mapped, plan_guest(swap.cluster, job, storage));
  Changes changes = changes_to(image_settings(mapped.params));
  NX_CHECK(describe(changes, before,
                    {.token = {},
                     .id = {},
                     .image = job.image->reference,
                     .digest = job.image->digest,
                     .rest = mapped.rest,
                     .kept = {}},
                    kept));
  NX_CHECK(make_carrier(swap, job, storage, before.config, libexec));
  NX_TRY(const std::string new_root, hand_over(swap, storage));
  NX_CHECK(drop_carrier(swap.cluster, swap.journal()));
  NX_CHECK(swap.save());
  return exchange(swap, new_root, changes);
}

}  // namespace

std::string tags_for(const std::string& tags, const std::string& digest) {
  std::vector<std::string> kept;
  for (std::string& tag : split(tags, ';'))
    if (!tag.empty() && !tag.starts_with(pve::kTagPrefix)) kept.push_back(std::move(tag));
  kept.push_back(std::string(pve::kTagPrefix) + digest.substr(digest.find(':') + 1, 24));
  return join(kept, ";");
}

void tidy(const Cluster& cluster, GuestData& data) {
  std::erase_if(data.spare, [&](const std::string& volume) {
    auto gone = forget_unused(cluster, data.name, volume, data.root);
    if (!gone) log::warning("volume " + volume + ": " + gone.error().message());
    return gone.has_value();
  });
}

Result<> settle_done(const Cluster& given, GuestData& data) {
  auto found = find_guest(given, data.name);
  const bool is_foreign = !found && found.error().code() == Errc::InvalidState;
  if (!found && !is_foreign) return fail(std::move(found).error());
  if (is_foreign || !*found) {
    data.spare.clear();  // its volumes are gone with it, or another's by now
    return {};
  }
  data.name = (*found)->name;
  tidy(given.on(data.name.node), data);
  return {};
}

Result<> swap_image(const Cluster& given, GuestData& data, const CreateJob& job,
                    const std::string& libexec) {
  NX_TRY(const FoundGuest before, must_find(given, data.name));
  data.name = before.name;
  const Cluster cluster = given.on(data.name.node);
  std::vector<pve::Generation> kept = data.kept;
  kept.insert(kept.begin(), generation_of(before));
  std::vector<std::string> dropped;
  const auto most = static_cast<std::size_t>(std::max(0, cluster.setup().generations));
  for (; kept.size() > most; kept.pop_back()) dropped.push_back(volume_of(kept.back().volume));
  data.update.emplace();
  NewTemplates templates;
  const Swap swap{
      .cluster = cluster, .data = data, .remember = job.image->remember, .templates = templates};
  if (auto done = replace(swap, before, job, libexec, kept); !done)
    return give_up(swap, std::move(done).error());
  const std::string new_root = swap.journal().new_root;
  dropped.push_back(new_root);  // only its place among the unused: it is the root
  return complete(swap, new_root, std::move(kept), dropped);
}

Result<> swap_back(const Cluster& given, GuestData& data, const Remember& remember) {
  NX_TRY(const FoundGuest before, must_find(given, data.name));
  data.name = before.name;
  if (data.kept.empty())
    return fail(Error(Errc::InvalidState, "no earlier root of the guest is kept")
                    .hint("`nexcage update ID --image REF` keeps one"));
  const Cluster cluster = given.on(data.name.node);
  const pve::Generation old = data.kept.front();
  const std::string volume = volume_of(old.volume);
  NX_TRY(const bool is_there, has_volume(cluster, data.name.vmid, volume));
  if (!is_there || unused_of(before.config, volume).empty())
    return fail(Error(Errc::InvalidState, "the earlier root " + volume + " is gone")
                    .hint("somebody has removed it: the guest stays as it is"));
  const std::vector<pve::Generation> kept(data.kept.begin() + 1, data.kept.end());
  const std::string leaving = volume_of(before.config.at("rootfs"));
  Changes changes = changes_to(old.settings);
  NX_CHECK(describe(changes, before,
                    {.token = {},
                     .id = {},
                     .image = old.image,
                     .digest = old.digest,
                     .rest = old.rest,
                     .kept = {}},
                    kept));
  data.update.emplace();
  NewTemplates none;
  const Swap swap{.cluster = cluster, .data = data, .remember = remember, .templates = none};
  if (auto done = exchange(swap, old.volume, changes); !done)
    return give_up(swap, std::move(done).error());
  // What was rolled back from is of no use any more; the root that came back is unused no longer.
  return complete(swap, volume, kept, {leaving, volume});
}

Result<bool> settle(const Cluster& given, GuestData& data) {
  if (!data.update && data.spare.empty()) return false;
  if (data.update) {
    NX_CHECK(take_back(given, data, Undo::left_over));
    return true;
  }
  NX_CHECK(settle_done(given, data));
  return true;
}

}  // namespace nexcage::backends::proxmox
