// Namespaces, id maps and clocks: what liblxc makes before the first process runs.
#include <sched.h>

#include <array>

#include "nexcage/backends/lxc/plan.h"
#include "nexcage/base/text.h"

namespace nexcage::backends::lxc {
namespace {

using oci::NamespaceType;

struct Kind {
  NamespaceType type;
  std::string_view lxc_name;
  int flag;
};

/// liblxc's names; the user namespace first, as it has to be joined first.
constexpr std::array<Kind, 8> kKinds = {{
    {NamespaceType::user, "user", CLONE_NEWUSER},
    {NamespaceType::mount, "mnt", CLONE_NEWNS},
    {NamespaceType::pid, "pid", CLONE_NEWPID},
    {NamespaceType::uts, "uts", CLONE_NEWUTS},
    {NamespaceType::ipc, "ipc", CLONE_NEWIPC},
    {NamespaceType::network, "net", CLONE_NEWNET},
    {NamespaceType::cgroup, "cgroup", CLONE_NEWCGROUP},
    {NamespaceType::time, "time", CLONE_NEWTIME},
}};

Result<> plan_identity(const oci::Spec& spec, CreatePlan& out) {
  const oci::Namespace* uts = spec.linux_->find(NamespaceType::uts);
  if (!spec.hostname.empty()) {
    if (uts == nullptr)
      return fail(Errc::InvalidConfig, "hostname: the container has no UTS namespace of its own");
    if (uts->path.empty())
      out.config.emplace_back("lxc.uts.name", spec.hostname);
    else
      out.plan.operations.emplace_back(sys::plan::SetHostname{.name = spec.hostname});
  }
  if (!spec.domainname.empty()) {
    if (uts == nullptr)
      return fail(Errc::InvalidConfig, "domainname: the container has no UTS namespace of its own");
    out.plan.operations.emplace_back(sys::plan::SetDomainname{.name = spec.domainname});
  }
  return {};
}

Result<> plan_id_maps(const oci::Linux& section, CreatePlan& out) {
  const oci::Namespace* user = section.find(NamespaceType::user);
  const bool maps = !section.uid_mappings.empty() || !section.gid_mappings.empty();
  if (user == nullptr) {
    if (maps) return fail(Errc::InvalidConfig, "linux.uidMappings: without a user namespace");
    return {};
  }
  if (!user->path.empty()) return {};  // the namespace has its maps
  if (section.uid_mappings.empty() || section.gid_mappings.empty())
    return fail(Errc::InvalidConfig,
                "linux.uidMappings, gidMappings: needed for a new user namespace");
  auto add = [&](char kind, const oci::IdMapping& map) {
    out.config.emplace_back("lxc.idmap",
                            std::string(1, kind) + " " + std::to_string(map.container_id) + " " +
                                std::to_string(map.host_id) + " " + std::to_string(map.size));
  };
  for (const oci::IdMapping& map : section.uid_mappings) add('u', map);
  for (const oci::IdMapping& map : section.gid_mappings) add('g', map);
  return {};
}

/// A new time namespace is made by the first process: liblxc makes none without offsets, and takes
/// no offset of seconds and nanoseconds.
Result<> plan_clocks(const oci::Linux& section, CreatePlan& out) {
  const oci::Namespace* time = section.find(NamespaceType::time);
  const bool fresh = time != nullptr && time->path.empty();
  sys::plan::EnterTimeNamespace operation;
  for (const auto& [clock, offset] : section.time_offsets) {
    const std::string field = "linux.timeOffsets." + clock;
    if (clock != "monotonic" && clock != "boottime")
      return fail(Errc::InvalidConfig, field + ": unknown clock");
    if (!fresh) return fail(Errc::InvalidConfig, field + ": without a new time namespace");
    const bool monotonic = clock == "monotonic";
    (monotonic ? operation.monotonic_seconds : operation.boottime_seconds) = offset.secs;
    (monotonic ? operation.monotonic_nanoseconds : operation.boottime_nanoseconds) =
        offset.nanosecs;
  }
  if (fresh) out.plan.operations.emplace_back(operation);
  return {};
}

/// Moved when the first process is there; it sets them up under their new names.
Result<> plan_net_devices(const oci::Linux& section, CreatePlan& out) {
  for (const auto& [name, inside] : section.net_devices) {
    if (section.find(NamespaceType::network) == nullptr)
      return fail(Errc::InvalidConfig,
                  "linux.netDevices: the container has no network namespace of its own");
    const std::string& target = inside.empty() ? name : inside;
    out.net_devices[name] = target;
    out.plan.operations.emplace_back(sys::plan::SetUpLink{.name = target, .addresses = {}});
  }
  return {};
}

}  // namespace

Result<> plan_namespaces(const CreateJob& job, CreatePlan& out) {
  const oci::Linux& section = *job.spec.linux_;
  if (section.find(NamespaceType::mount) == nullptr)
    return fail(Errc::Unsupported, "linux.namespaces: a container without a mount namespace");
  std::string fresh;
  for (const Kind& kind : kKinds) {
    const oci::Namespace* wanted = section.find(kind.type);
    if (wanted == nullptr) continue;
    if (wanted->path.empty() && kind.type == NamespaceType::time) continue;
    if (wanted->path.empty()) {
      fresh += (fresh.empty() ? "" : " ") + std::string(kind.lxc_name);
    } else {
      out.config.emplace_back("lxc.namespace.share." + std::string(kind.lxc_name), wanted->path);
      out.joined.push_back({.path = wanted->path, .flag = kind.flag});
    }
  }
  if (!fresh.empty()) out.config.emplace_back("lxc.namespace.clone", fresh);
  if (fresh.empty())
    return fail(Errc::Unsupported, "linux.namespaces: a container with no namespace of its own");
  const oci::Namespace* network = section.find(NamespaceType::network);
  const bool fresh_network = network != nullptr && network->path.empty();
  out.config.emplace_back("lxc.net.0.type", fresh_network ? "empty" : "none");
  // A new namespace has lo up, as under runc and crun.
  if (fresh_network) out.config.emplace_back("lxc.net.0.flags", "up");
  NX_CHECK(plan_id_maps(section, out));
  NX_CHECK(plan_clocks(section, out));
  NX_CHECK(plan_net_devices(section, out));
  return plan_identity(job.spec, out);
}

}  // namespace nexcage::backends::lxc
