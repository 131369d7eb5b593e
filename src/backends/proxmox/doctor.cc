#include "nexcage/backends/proxmox/doctor.h"

#include <algorithm>
#include <set>

#include "nexcage/backends/proxmox/privileges.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/property_string.h"

namespace nexcage::backends::proxmox {

namespace {

Result<std::set<std::string>> held(const Cluster& cluster, const std::string& path) {
  NX_TRY(const json::Value data,
         cluster.api().call("GET", "/access/permissions", {{"path", path}}));
  std::set<std::string> names;
  const json::Value* at = data.find(path);
  if (at != nullptr && at->if_object() != nullptr)
    for (const auto& [name, propagates] : *at->if_object()) names.insert(name);
  return names;
}

Result<Need> look(const Cluster& cluster, const std::string& path,
                  std::span<const std::string_view> wanted) {
  NX_TRY(const auto names, held(cluster, path));
  Need need{.path = path, .present = {}, .missing = {}};
  for (const std::string_view one : wanted)
    (names.contains(std::string(one)) ? need.present : need.missing).emplace_back(one);
  return need;
}

std::string bridge_of(const std::string& network) {
  const auto parsed = pve::Properties::parse(network);
  return parsed ? parsed->find("bridge").value_or("") : "";
}

Result<> check_privileges(const Cluster& cluster, const Privileges& wanted, Diagnosis& out) {
  const auto add = [&](const std::string& path,
                       std::span<const std::string_view> names) -> Result<> {
    NX_TRY(Need need, look(cluster, path, names));
    out.needs.push_back(std::move(need));
    return {};
  };
  const std::string& pool = cluster.setup().pool;
  NX_CHECK(add(pool.empty() ? "/vms" : "/pool/" + pool, wanted.guests));
  NX_CHECK(add("/nodes/" + cluster.node(), wanted.node));
  // A storage that cannot be seen cannot be chosen: then it is a matter of all of them.
  const auto at = [](const std::string& storage) {
    return storage.empty() ? std::string("/storage") : "/storage/" + storage;
  };
  NX_CHECK(add(at(out.root_storage), wanted.roots));
  NX_CHECK(add(at(out.template_storage), wanted.archives));
  if (const std::string bridge = bridge_of(cluster.setup().network); !bridge.empty())
    NX_CHECK(add("/sdn/zones/localnetwork/" + bridge, wanted.bridge));
  return {};
}

}  // namespace

bool Diagnosis::is_well() const {
  return problems.empty() &&
         std::ranges::all_of(needs, [](const Need& need) { return need.missing.empty(); });
}

std::vector<std::string> Diagnosis::repair(const std::string& who) const {
  std::set<std::string> all;
  std::vector<std::string> paths;
  for (const Need& need : needs) {
    all.insert(need.present.begin(), need.present.end());
    all.insert(need.missing.begin(), need.missing.end());
    if (!need.missing.empty()) paths.push_back(need.path);
  }
  if (paths.empty()) return {};
  const std::string privileges = join(std::vector<std::string>(all.begin(), all.end()), " ");
  const std::string kind = who.find('!') == std::string::npos ? " --users '" : " --tokens '";
  // The role may be there: somebody has followed the README of an earlier release.
  std::vector<std::string> commands = {"pveum role add Nexcage --privs \"" + privileges +
                                       "\" || pveum role modify Nexcage --append 1 --privs \"" +
                                       privileges + "\""};
  for (const std::string& path : paths)
    commands.push_back("pveum acl modify " + path + " --roles Nexcage" + kind + who + "'");
  return commands;
}

Result<Diagnosis> diagnose(const Cluster& cluster) {
  Diagnosis out{.place = cluster.api().place(),
                .version = cluster.version().str(),
                .node = cluster.node(),
                .storages = {},
                .root_storage = {},
                .template_storage = {},
                .needs = {},
                .problems = {},
                .import_storage = {},
                .disk_storage = {},
                .machine_needs = {}};
  NX_TRY(out.storages, cluster.storages());
  const auto choose = [&](std::string_view kind, const std::string& name, std::string& chosen) {
    auto found = cluster.storage_for(kind, name);
    if (found)
      chosen = found->name;
    else
      out.problems.push_back(found.error().message());
  };
  choose("rootdir", cluster.setup().storage, out.root_storage);
  choose("vztmpl", cluster.setup().template_storage, out.template_storage);
  const auto look_for = [&](std::string_view kind, const std::string& name) {
    auto found = cluster.storage_for(kind, name);
    return found ? found->name : std::string();
  };
  out.import_storage = look_for("import", cluster.setup().template_storage);
  out.disk_storage = look_for("images", cluster.setup().storage);
  // root@pam on the node itself may do everything.
  if (cluster.api().is_local()) return out;
  NX_CHECK(check_privileges(cluster, lxc_privileges(), out));
  const std::string& pool = cluster.setup().pool;
  NX_TRY(Need machines, look(cluster, pool.empty() ? "/vms" : "/pool/" + pool,
                             machine_privileges(cluster.version())));
  out.machine_needs.push_back(std::move(machines));
  return out;
}

}  // namespace nexcage::backends::proxmox
