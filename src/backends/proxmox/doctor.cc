#include "nexcage/backends/proxmox/doctor.h"

#include <algorithm>
#include <set>

#include "nexcage/base/text.h"
#include "nexcage/pve/property_string.h"

namespace nexcage::backends::proxmox {

namespace {

const std::vector<std::string>& storage_privileges() {
  static const std::vector<std::string> kNames = {"Datastore.Audit", "Datastore.AllocateSpace"};
  return kNames;
}
const std::vector<std::string>& template_privileges() {
  static const std::vector<std::string> kNames = {"Datastore.Audit", "Datastore.AllocateTemplate",
                                                  "Datastore.Allocate"};
  return kNames;
}

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
                  const std::vector<std::string>& wanted) {
  NX_TRY(const auto names, held(cluster, path));
  Need need{.path = path, .present = {}, .missing = {}};
  for (const std::string& one : wanted)
    (names.contains(one) ? need.present : need.missing).push_back(one);
  return need;
}

std::string bridge_of(const std::string& network) {
  const auto parsed = pve::Properties::parse(network);
  return parsed ? parsed->find("bridge").value_or("") : "";
}

Result<> check_privileges(const Cluster& cluster, Diagnosis& out) {
  const auto add = [&](const std::string& path,
                       const std::vector<std::string>& wanted) -> Result<> {
    NX_TRY(Need need, look(cluster, path, wanted));
    out.needs.push_back(std::move(need));
    return {};
  };
  const std::string& pool = cluster.setup().pool;
  NX_CHECK(add(pool.empty() ? "/vms" : "/pool/" + pool, guest_privileges(cluster.version())));
  NX_CHECK(add("/nodes/" + cluster.node(), {"Sys.Audit"}));
  // A storage that cannot be seen cannot be chosen: then it is a matter of all of them.
  const auto at = [](const std::string& storage) {
    return storage.empty() ? std::string("/storage") : "/storage/" + storage;
  };
  NX_CHECK(add(at(out.root_storage), storage_privileges()));
  NX_CHECK(add(at(out.template_storage), template_privileges()));
  if (const std::string bridge = bridge_of(cluster.setup().network); !bridge.empty())
    NX_CHECK(add("/sdn/zones/localnetwork/" + bridge, {"SDN.Use"}));
  return {};
}

}  // namespace

std::vector<std::string> guest_privileges(const pve::Version& version) {
  std::vector<std::string> names = {"VM.Allocate",      "VM.Audit",          "VM.Clone",
                                    "VM.PowerMgmt",     "VM.Config.Disk",    "VM.Config.CPU",
                                    "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options",
                                    "VM.Config.HWType"};
  names.emplace_back(version.has_entrypoint() ? "VM.GuestAgent.Unrestricted" : "VM.Monitor");
  return names;
}

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
  std::vector<std::string> commands = {"pveum role add Nexcage --privs \"" + privileges + "\""};
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
                .problems = {}};
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
  // root@pam on the node itself may do everything.
  if (cluster.api().is_local()) return out;
  NX_CHECK(check_privileges(cluster, out));
  return out;
}

}  // namespace nexcage::backends::proxmox
