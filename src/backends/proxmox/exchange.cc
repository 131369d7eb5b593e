#include "nexcage/backends/proxmox/exchange.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "nexcage/backends/proxmox/power.h"
#include "nexcage/backends/proxmox/volumes.h"
#include "nexcage/base/text.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr std::chrono::seconds kStopTime{30};

/// Options of the old root's setting, which the new one takes over: ",ro=1".
std::string options_of(const std::string& root) {
  std::string kept;
  const std::size_t options = root.find(',');
  if (options == std::string::npos) return kept;
  for (const std::string& part : split(root.substr(options + 1), ','))
    if (!part.empty() && !part.starts_with("size=")) kept += "," + part;
  return kept;
}

/// The request; what it changes is in the journal then.
pve::Params plan(const pve::Params& config, const std::string& new_root, const Changes& changes,
                 SwapJournal& journal) {
  pve::Params request = changes.set;
  request["rootfs"] = new_root + options_of(config.at("rootfs"));
  std::vector<std::string> deleted;
  for (const std::string& name : changes.deleted) {
    if (!config.contains(name)) continue;
    journal.before[name] = config.at(name);
    deleted.push_back(name);
  }
  for (const auto& [name, value] : request) {
    const auto found = config.find(name);
    if (found == config.end())
      journal.added.push_back(name);
    else
      journal.before[name] = found->second;
  }
  journal.new_root = volume_of(new_root);
  if (!deleted.empty()) request["delete"] = join(deleted, ",");
  // The old root stays known to Proxmox VE, at a place that the new one has not had.
  request[free_unused(config)] = volume_of(config.at("rootfs"));
  // Refused when somebody has changed the guest since it was read.
  request["digest"] = text_of(config, "digest");
  return request;
}

Result<FoundGuest> must_find(const Swap& swap) {
  NX_TRY(auto found, find_guest(swap.cluster, swap.data.name));
  if (found && found->name.node == swap.cluster.node()) return std::move(*found);
  return fail(Errc::InvalidState, "guest " + std::to_string(swap.data.name.vmid) +
                                      " is no longer on node " + swap.cluster.node());
}

/// All of several failures.
class Failures {
 public:
  void add(Result<> one) {
    if (one) return;
    if (all_)
      all_ = std::move(one);
    else
      all_ = fail(std::move(all_).error().also(std::move(one).error()));
  }
  Result<> take() { return std::move(all_); }

 private:
  Result<> all_;
};

Result<> give_settings_back(const Cluster& cluster, const GuestData& data,
                            const std::optional<pve::Params>& config) {
  const SwapJournal& journal = *data.update;
  if (journal.before.empty()) return {};
  // Settings that cannot be read are written nonetheless: what they were is the same either way.
  if (config && volume_of(text_of(*config, "rootfs")) != journal.new_root) return {};
  const std::uint64_t vmid = data.name.vmid;
  NX_CHECK(stop_guest(cluster, vmid, kStopTime));
  pve::Params request = journal.before;
  if (!journal.added.empty()) request["delete"] = join(journal.added, ",");
  NX_CHECK(cluster.set(vmid, request));
  const std::string root = volume_of(journal.before.at("rootfs"));
  return forget_unused(cluster, data.name, root, root);
}

/// The volume that an update has brought. That of a rollback was the guest's before.
Result<> forget_new_root(const Cluster& cluster, const GuestData& data) {
  const SwapJournal& journal = *data.update;
  if (journal.key.empty()) return {};
  NX_TRY(const auto config, cluster.config(data.name.vmid));
  if (!config) return {};
  std::string volume = journal.new_root;
  if (volume.empty()) volume = volume_of(text_of(*config, journal.key));
  // It did not come, and the guest's owner has put one of the guest's own volumes there meanwhile.
  if (std::ranges::find(journal.had, volume) != journal.had.end()) return {};
  const std::string root = volume_of(text_of(*config, "rootfs"));
  if (volume.empty() || volume == root) return {};
  return forget_unused(cluster, data.name, volume, root);
}

/// What concerns the guest itself, if it is there and still ours.
void restore_guest(const Cluster& given, GuestData& data, Undo undo, Failures& failures) {
  auto found = find_guest(given, data.name);
  if (found && !*found) return;
  if (!found && found.error().code() == Errc::InvalidState) return;
  const bool is_known = found.has_value();
  // It may be another's by now, and one that is being made is.
  const bool may_write = is_known || (undo == Undo::own && !says_being_made(found.error()));
  if (!is_known) failures.add(fail(found.error()));
  if (!may_write) return;
  if (is_known) data.name = (*found)->name;
  const Cluster cluster = given.on(data.name.node);
  const auto config = is_known ? std::optional((*found)->config) : std::nullopt;
  auto settings = give_settings_back(cluster, data, config);
  const bool is_back = settings.has_value();
  failures.add(std::move(settings));
  // Volumes go only when it is certain which one is in use.
  if (is_known && is_back) failures.add(forget_new_root(cluster, data));
  if (data.update->stops_guest) failures.add(start_guest(cluster, data.name.vmid));
}

}  // namespace

Result<> exchange(const Swap& swap, const std::string& new_root, const Changes& changes) {
  SwapJournal& journal = swap.journal();
  const std::uint64_t vmid = swap.data.name.vmid;
  NX_TRY(journal.stops_guest, is_running(swap.cluster, vmid));
  NX_CHECK(swap.save());
  if (journal.stops_guest) NX_CHECK(stop_guest(swap.cluster, vmid, kStopTime));
  // Read now: with the end of the guest its pending changes have come into force.
  NX_TRY(const FoundGuest guest, must_find(swap));
  const pve::Params request = plan(guest.config, new_root, changes, journal);
  NX_CHECK(swap.save());
  NX_CHECK(swap.cluster.set(vmid, request));
  NX_TRY(const FoundGuest changed, must_find(swap));
  if (volume_of(text_of(changed.config, "rootfs")) != volume_of(new_root))
    return fail(Errc::ProxmoxError,
                "guest " + std::to_string(vmid) + " did not take root " + volume_of(new_root));
  return journal.stops_guest ? start_guest(swap.cluster, vmid) : Result<>();
}

Result<> take_back(const Cluster& cluster, GuestData& data, Undo undo) {
  if (!data.update) return {};
  Failures failures;
  if (data.update->carrier)
    failures.add(drop_carrier(cluster.on(data.update->carrier->node), *data.update));
  restore_guest(cluster, data, undo, failures);
  auto done = failures.take();
  if (done) data.update.reset();
  return done;
}

}  // namespace nexcage::backends::proxmox
