#include "nexcage/backends/proxmox/cluster.h"

#include <algorithm>
#include <array>
#include <set>

#include "nexcage/base/text.h"
#include "nexcage/pve/answer.h"

namespace nexcage::backends::proxmox {

namespace {

Result<std::string> choose_node(Api& api, const std::string& wanted) {
  NX_TRY(const json::Value nodes, api.call("GET", "/nodes", {}));
  std::vector<std::string> known;
  for (const json::Value& one : nodes.if_array() != nullptr ? *nodes.if_array() : json::Array()) {
    if (!wanted.empty() && one.text("node") == wanted) return wanted;
    if (wanted.empty() && one.text("status") == "online") return one.text("node");
    known.push_back(one.text("node"));
  }
  if (!wanted.empty())
    return fail(Error(Errc::ConfigError, "proxmox.node: the cluster has no node " + quote(wanted))
                    .hint("one of: " + join(known, ", ")));
  return fail(Errc::ProxmoxError, "no node of the cluster is online");
}

}  // namespace

bool StorageInfo::holds(std::string_view kind) const {
  return std::ranges::find(content, kind) != content.end();
}

bool StorageInfo::can_clone() const {
  return type == "zfspool" || type == "lvmthin" || type == "rbd";
}

bool StorageInfo::is_file_based() const {
  constexpr std::array<std::string_view, 6> kTypes = {"btrfs", "cephfs",    "cifs",
                                                      "dir",   "glusterfs", "nfs"};
  return std::ranges::find(kTypes, type) != kTypes.end();
}

Result<Cluster> Cluster::open(std::shared_ptr<Api> api, const ProxmoxSetup& setup, GuestKind kind) {
  Cluster cluster(std::move(api), setup, kind);
  NX_TRY(const json::Value version, cluster.api().call("GET", "/version", {}));
  NX_TRY(cluster.version_, pve::Version::parse(version.text("release")));
  if (cluster.version_ < pve::kOldest)
    return fail(Errc::Unsupported, "Proxmox VE " + cluster.version_.str() +
                                       " is too old: " + pve::kOldest.str() + " is the least");
  const std::string here = cluster.api().node();
  NX_TRY(cluster.node_, choose_node(cluster.api(), setup.node.empty() ? here : setup.node));
  return cluster;
}

Cluster Cluster::on(std::string node) const {
  Cluster other = *this;
  other.node_ = std::move(node);
  return other;
}

Result<std::vector<StorageInfo>> Cluster::storages() const {
  NX_TRY(const json::Value list, api_->call("GET", node_path() + "/storage", {{"enabled", "1"}}));
  std::vector<StorageInfo> out;
  for (const json::Value& one : list.if_array() != nullptr ? *list.if_array() : json::Array()) {
    if (!pve::as_bool(one.find("active"))) continue;
    out.push_back({.name = one.text("storage"),
                   .type = one.text("type"),
                   .content = split(one.text("content"), ','),
                   .shared = pve::as_bool(one.find("shared")),
                   .available = static_cast<std::uint64_t>(pve::as_number(one.find("avail")))});
  }
  return out;
}

Result<StorageInfo> Cluster::storage_for(std::string_view kind, const std::string& name) const {
  NX_TRY(std::vector<StorageInfo> all, storages());
  std::vector<std::string> names;
  for (const StorageInfo& one : all) {
    names.push_back(one.name);
    if (one.name != name) continue;
    if (one.holds(kind)) return one;
    return fail(Error(Errc::ConfigError, "storage " + name + " of node " + node_ +
                                             " does not take content " + std::string(kind))
                    .hint("allow it in the storage's settings, or choose another storage"));
  }
  if (!name.empty())
    return fail(Error(Errc::ConfigError, "node " + node_ + " has no storage " + quote(name))
                    .hint(names.empty() ? "the token may see none: it needs Datastore.Audit"
                                        : "one of: " + join(names, ", ")));
  std::erase_if(all, [&](const StorageInfo& one) { return !one.holds(kind); });
  const auto best = std::ranges::max_element(all, {}, [&](const StorageInfo& one) {
    return std::pair(kind == "rootdir" && one.can_clone(), one.available);
  });
  if (best != all.end()) return *best;
  return fail(Error(Errc::ConfigError,
                    "no storage of node " + node_ + " takes content " + std::string(kind))
                  .hint("`nexcage pve doctor` lists the storages and what each can do"));
}

Result<std::uint64_t> Cluster::free_vmid() const {
  if (setup_->vmid_first == 0) {
    NX_TRY(const json::Value next, api_->call("GET", "/cluster/nextid", {}));
    return static_cast<std::uint64_t>(pve::as_number(&next));
  }
  NX_TRY(const json::Value list, api_->call("GET", "/cluster/resources", {{"type", "vm"}}));
  std::set<std::int64_t> taken;
  for (const json::Value& one : list.if_array() != nullptr ? *list.if_array() : json::Array())
    taken.insert(pve::as_number(one.find("vmid")));
  for (int vmid = setup_->vmid_first; vmid <= setup_->vmid_last; ++vmid) {
    if (taken.contains(vmid)) continue;
    // Guests that we may not see have numbers, too.
    const auto asked = api_->call("GET", "/cluster/nextid", {{"vmid", std::to_string(vmid)}});
    if (asked) return static_cast<std::uint64_t>(vmid);
    if (asked.error().message().find("already exists") == std::string::npos)
      return fail(asked.error());
  }
  return fail(Error(Errc::ProxmoxError, "every VMID from " + std::to_string(setup_->vmid_first) +
                                            " to " + std::to_string(setup_->vmid_last) +
                                            " is taken")
                  .hint("widen proxmox.vmid_first and proxmox.vmid_last"));
}

Result<std::optional<pve::Params>> Cluster::config(std::uint64_t vmid) const {
  auto data = api_->call("GET", guest_path(vmid) + "/config", {});
  if (!data && pve::says_missing(data.error())) return std::nullopt;
  if (!data) return fail(std::move(data).error());
  pve::Params params;
  if (data->if_object() != nullptr)
    for (const auto& [name, value] : *data->if_object()) params[name] = pve::as_text(&value);
  return std::optional(std::move(params));
}

Result<std::optional<std::string>> Cluster::node_of(std::uint64_t vmid) const {
  NX_TRY(const json::Value list, api_->call("GET", "/cluster/resources", {{"type", "vm"}}));
  for (const json::Value& one : list.if_array() != nullptr ? *list.if_array() : json::Array())
    if (static_cast<std::uint64_t>(pve::as_number(one.find("vmid"))) == vmid &&
        one.text("type") == (kind_ == GuestKind::lxc ? "lxc" : "qemu"))
      return one.text("node");
  return std::nullopt;
}

Result<> Cluster::make(const pve::Params& params) const {
  auto made = api_->run("POST", guest_path(), params);
  // Of this privilege alone Proxmox VE does not say the name.
  const bool is_unnamed = !made && made.error().code() == Errc::PermissionDenied &&
                          made.error().message().find(" (/") == std::string::npos;
  if (!is_unnamed) return made;
  const std::string where =
      setup_->pool.empty() ? "/vms/" + params.at("vmid") : "/pool/" + setup_->pool;
  return fail(std::move(made).error().wrap("privilege VM.Allocate on " + where));
}

Result<> Cluster::set(std::uint64_t vmid, const pve::Params& changes) const {
  return api_->run("PUT", guest_path(vmid) + "/config", changes);
}

}  // namespace nexcage::backends::proxmox
