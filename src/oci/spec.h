// The OCI runtime spec (config.json) as value types: every field of 1.0.2 and those up to 1.3 that
// a Linux backend applies. Field comments only where a unit or a default is not obvious; the
// meaning is that of runtime-spec config.md, config-linux.md, config-vm.md.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::oci {

using StringMap = std::map<std::string, std::string>;

struct Box {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
};

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::optional<mode_t> umask;
  std::vector<gid_t> additional_gids;
  std::string username;  // Windows only; kept
};

/// The five sets, names as in the spec ("CAP_KILL"). Absent and empty mean the same: no capability.
struct Capabilities {
  std::vector<std::string> bounding, effective, inheritable, permitted, ambient;
};

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};

struct IoPriority {
  std::string io_class;  // "IOPRIO_CLASS_BE"
  int priority = 0;
};

struct Scheduler {
  std::string policy;  // "SCHED_OTHER"
  std::int32_t nice = 0;
  std::int32_t priority = 0;
  std::vector<std::string> flags;
  std::uint64_t runtime = 0, deadline = 0, period = 0;  // nanoseconds
};

struct CpuAffinity {
  std::string initial;
  std::string final;
};

struct Process {
  bool terminal = false;
  std::optional<Box> console_size;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;  // NAME=value
  std::string cwd;
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::optional<int> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::string selinux_label;
  std::optional<IoPriority> io_priority;
  std::optional<CpuAffinity> exec_cpu_affinity;
};

struct Root {
  std::string path;
  bool readonly = false;
};

struct IdMapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
  bool operator==(const IdMapping&) const = default;
};

struct Mount {
  std::string destination;
  std::string type;
  std::string source;
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings, gid_mappings;
};

struct Hook {
  std::string path;
  std::vector<std::string> args;  // args[0] included, as in execv
  std::vector<std::string> env;
  std::optional<int> timeout;  // seconds, > 0
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart,
      poststop;
};

enum class NamespaceType : std::uint8_t { pid, network, mount, ipc, uts, user, cgroup, time };
/// The spec's name: "pid", "network" ...
std::string_view namespace_name(NamespaceType type);

struct Namespace {
  NamespaceType type = NamespaceType::pid;
  std::string path;  // empty: a new one
};

struct Device {
  std::string path;
  char type = 'c';  // c, b, u, p
  std::int64_t major = 0, minor = 0;
  std::optional<mode_t> file_mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};

struct DeviceRule {
  bool allow = false;
  char type = 'a';                           // a, b, c
  std::optional<std::int64_t> major, minor;  // absent: any
  std::string access;                        // of "rwm"
  bool operator==(const DeviceRule&) const = default;
};

struct MemoryLimits {
  std::optional<std::int64_t> limit, reservation, swap, kernel, kernel_tcp;  // bytes, -1 unlimited
  std::optional<std::uint64_t> swappiness;
  std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
};

struct CpuLimits {
  std::optional<std::uint64_t> shares, period, burst, realtime_period;
  std::optional<std::int64_t> quota, realtime_runtime, idle;
  std::string cpus, mems;
};

struct BlockWeight {
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint16_t> weight, leaf_weight;
};
struct BlockThrottle {
  std::int64_t major = 0, minor = 0;
  std::uint64_t rate = 0;
};
struct BlockIo {
  std::optional<std::uint16_t> weight, leaf_weight;
  std::vector<BlockWeight> weight_device;
  std::vector<BlockThrottle> read_bps, write_bps, read_iops, write_iops;
};

struct HugepageLimit {
  std::string page_size;  // "2MB"
  std::uint64_t limit = 0;
};

struct InterfacePriority {
  std::string name;
  std::uint32_t priority = 0;
};
struct NetworkLimits {
  std::optional<std::uint32_t> class_id;
  std::vector<InterfacePriority> priorities;
};

struct Rdma {
  std::optional<std::uint32_t> hca_handles, hca_objects;
};

struct Resources {
  std::vector<DeviceRule> devices;
  std::optional<MemoryLimits> memory;
  std::optional<CpuLimits> cpu;
  std::optional<std::int64_t> pids_limit;  // -1 (or 0, as runc reads it): unlimited
  std::optional<BlockIo> block_io;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<NetworkLimits> network;
  std::map<std::string, Rdma> rdma;
  StringMap unified;  // cgroup v2 file -> value
};

struct SeccompArg {
  std::uint32_t index = 0;
  std::uint64_t value = 0, value_two = 0;
  std::string op;  // "SCMP_CMP_EQ"
};
struct SeccompSyscall {
  std::vector<std::string> names;
  std::string action;
  std::optional<std::uint32_t> errno_ret;
  std::vector<SeccompArg> args;
};
struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures, flags;
  std::string listener_path, listener_metadata;
  std::vector<SeccompSyscall> syscalls;
};

struct IntelRdt {
  std::string clos_id, l3_cache_schema, mem_bw_schema;
  std::vector<std::string> schemata;
  bool enable_monitoring = false;
};

struct MemoryPolicy {
  std::string mode, nodes;
  std::vector<std::string> flags;
};

struct Personality {
  std::string domain;
  std::vector<std::string> flags;
};

struct TimeOffset {
  std::int64_t secs = 0;
  std::uint32_t nanosecs = 0;
};

struct Linux {
  std::vector<IdMapping> uid_mappings, gid_mappings;
  StringMap sysctl;
  std::optional<Resources> resources;
  std::string cgroups_path;
  std::vector<Namespace> namespaces;
  std::vector<Device> devices;
  std::map<std::string, std::string> net_devices;  // host name -> name inside ("" keeps it)
  std::optional<Seccomp> seccomp;
  std::string rootfs_propagation;  // "", shared, slave, private, unbindable, with optional r
  std::vector<std::string> masked_paths, readonly_paths;
  std::string mount_label;
  std::optional<IntelRdt> intel_rdt;
  std::optional<MemoryPolicy> memory_policy;
  std::optional<Personality> personality;
  std::map<std::string, TimeOffset> time_offsets;  // monotonic, boottime

  /// The entry of this type, or nullptr: the container then shares the runtime's namespace.
  const Namespace* find(NamespaceType type) const;
};

struct VmHypervisor {
  std::string path;
  std::vector<std::string> parameters;
};
struct VmKernel {
  std::string path, initrd;
  std::vector<std::string> parameters;
};
struct VmImage {
  std::string path, format;
};
struct VmHardware {
  std::string device_tree;
  std::optional<std::uint32_t> vcpus;
  std::optional<std::uint64_t> memory;  // bytes
};
struct Vm {
  std::optional<VmHypervisor> hypervisor;
  VmKernel kernel;
  std::optional<VmImage> image;
  std::optional<VmHardware> hw_config;
};

/// A whole config.json. `document` is the text as it was parsed, unknown fields included, for the
/// backends that hand the spec on; an empty document means the spec was made here.
struct Spec {
  std::string oci_version;
  std::optional<Process> process;
  std::optional<Root> root;
  std::string hostname, domainname;
  std::vector<Mount> mounts;
  Hooks hooks;
  StringMap annotations;
  std::optional<Linux> linux_;  // `linux` is a macro of GNU dialects
  std::optional<Vm> vm;
  json::Value document;
};

/// How strictly the version is read.
struct VersionPolicy {
  std::string exactly;  // empty: any 1.x up to 1.3
};

/// Parses and validates field by field. InvalidSpec with the JSON pointer of the offence
/// ("/process/args/0: must not be empty"). Checks: types and ranges of every field; required
/// fields; SemVer 1.x <= 1.3; absolute paths where the spec demands them (relative mount
/// destinations become absolute); NUL and control characters refused where they would end or split
/// a value (env, args, hostname, paths); known names of rlimits, namespaces, seccomp words; the
/// form of capability names (one that the machine lacks must not fail a container, config.md
/// "Linux Process"); no duplicate namespace types or rlimits. `process` and `root` may be absent:
/// the verb that needs them says so. null counts as absent. Solaris, Windows, z/OS and FreeBSD
/// sections are Unsupported.
Result<Spec> parse_spec(const json::Value& document, const VersionPolicy& policy = {});
/// A `process` object on its own (exec --process), same rules; pointers begin at `at`.
Result<Process> parse_process(const json::Value& value, std::string_view at = "");
/// `linux.resources` on its own (update --resources).
Result<Resources> parse_resources(const json::Value& value, std::string_view at = "");

/// The spec as config.json. Fields unknown to us are taken over from `document`.
json::Value to_json(const Spec& spec);
json::Value to_json(const Process& process);
json::Value to_json(const Resources& resources);

/// The spec that `nexcage spec` writes and the image form starts from: the field's usual defaults
/// (runc spec): /proc, /dev, devpts, shm, mqueue, sysfs, cgroup mounts; masked and read-only
/// paths; pid, network, ipc, uts, mount, cgroup namespaces; a minimal capability set.
Spec default_spec();
/// The same for a user without privileges (runc spec --rootless): a user namespace in which `uid`
/// and `gid` of the host are root, the host's network and /sys, no limits.
Spec default_rootless_spec(uid_t uid, gid_t gid);

}  // namespace nexcage::oci
