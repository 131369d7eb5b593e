// From a runtime spec to everything the LXC backend will do, without doing anything: liblxc's
// configuration, the plan of the first process, the mounts that the runtime prepares for it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/cgroup_limits.h"
#include "nexcage/backends/lxc/systemd_unit.h"
#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/device_rules.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/plan.h"

namespace nexcage::backends::lxc {

/// What the plan depends on besides the spec, read once.
struct HostFacts {
  sys::CgroupLayout cgroups;
  bool apparmor = false;  // enabled in the running kernel
  bool selinux = false;
  std::uint64_t capabilities = ~std::uint64_t{0};  // what this process could give to a container
};
Result<HostFacts> read_host_facts();

/// How the owners in a mount are seen: through maps of its own, or those of a user namespace.
struct IdMap {
  std::vector<oci::IdMapping> uids, gids;
  std::string namespace_path;  // instead of the maps
  bool recursive = false;
};

/// A mount that the runtime makes detached, in its own namespace and with its own rights, and hands
/// to the first process: bind sources are what the caller asked for, on the caller's side.
struct Source {
  std::string path;
  bool recursive = false;
  std::uint64_t set = 0, clear = 0;          // MOUNT_ATTR_* of the top mount
  std::uint64_t rec_set = 0, rec_clear = 0;  // of all
  std::uint64_t propagation = 0;             // MS_*, 0: as the source has it
  bool propagation_recursive = false;
  std::optional<IdMap> id_map = std::nullopt;
};

using ConfigLine = std::pair<std::string, std::string>;

/// One hard and soft limit, as prlimit(2) takes them.
struct ResourceLimit {
  int resource = 0;
  std::uint64_t soft = 0, hard = 0;
};

struct NamespacePath {
  std::string path;
  int flag = 0;  // CLONE_NEW*: what it has to be
};

/// Phase 6's product. Descriptors of the plan: `sources` in order, then the listening socket.
struct CreatePlan {
  std::vector<ConfigLine> config;
  sys::plan::Plan plan;
  std::vector<Source> sources;
  std::vector<ResourceLimit> limits;
  std::vector<NamespacePath> joined;  // checked before liblxc opens them
  std::string cgroup;                 // "nexcage/web1"
  std::optional<SystemdUnit> unit;    // whose cgroup it is, when systemd makes it
  std::vector<CgroupLimit> cgroup_limits;
  std::vector<sys::DeviceRule> device_rules;
  std::string lxc_name;  // liblxc's own: keys its lock file and its socket
  std::map<std::string, std::string> net_devices;  // moved in: our name -> the container's
};

/// Unsupported or InvalidConfig naming the field.
Result<CreatePlan> plan_create(const CreateJob& job, const HostFacts& facts,
                               std::string_view cgroup_parent);
std::string describe(const CreatePlan& plan);

// The parts of plan_create, one file each.

Result<> plan_namespaces(const CreateJob& job, CreatePlan& out);
/// Limits for the hierarchies that have the controllers here, and device rules.
Result<> plan_resources(const oci::Resources& resources, const HostFacts& facts, CreatePlan& out);
/// The root, all mounts, devices; `out.cgroup` is known.
Result<> plan_root(const CreateJob& job, CreatePlan& out);
Result<> plan_mounts(const CreateJob& job, const HostFacts& facts, CreatePlan& out);
Result<> plan_devices(const CreateJob& job, CreatePlan& out);
Result<> plan_sysctl(const oci::Spec& spec, CreatePlan& out);
/// How the owners of a bind are seen, when its options or fields say so.
Result<std::optional<IdMap>> plan_id_map(const oci::Spec& spec, const oci::Mount& mount,
                                         const sys::MountOptions& options);
/// The process part, for create and for exec; seccomp is the container's.
struct ProcessContext {
  const oci::Process& process;
  const oci::Linux* linux_section = nullptr;
  int preserve_fds = 0;
};
Result<sys::plan::Process> plan_process(const ProcessContext& context, const HostFacts& facts);
Result<std::vector<ResourceLimit>> plan_limits(const oci::Process& process);
/// Hooks of one point with the state they read.
sys::plan::RunHooks plan_hooks(HookPoint point, const std::vector<oci::Hook>& hooks,
                               oci::State state);
/// The cgroup of a container: cgroupsPath, or {parent}/{id}.
Result<std::string> cgroup_path(const oci::Spec& spec, const std::string& id,
                                std::string_view parent);
/// Flags of a rootfs or mount propagation word ("rslave"): {MS_*, recursive}. "" is {0, false}.
std::pair<std::uint64_t, bool> propagation_of(std::string_view word);

/// A list of numbers below `limit` ("0-1,3") as the bytes of a bit mask. InvalidSpec naming
/// `field`.
Result<std::string> bit_mask(std::string_view list, std::uint64_t limit, std::string_view field);

/// The container has a user namespace: device nodes cannot be made, the host's are bound.
bool has_user_namespace(const oci::Spec& spec);

/// Appends a source and the operation that attaches it.
void attach(CreatePlan& out, Source source, std::string target);

}  // namespace nexcage::backends::lxc
