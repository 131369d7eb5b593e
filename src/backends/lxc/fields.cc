#include "nexcage/backends/lxc/fields.h"

#include <algorithm>
#include <array>

namespace nexcage::backends::lxc {
namespace {

using enum Applied;
using oci::Spec;

bool any_mount(const Spec& spec, bool (*wanted)(const oci::Mount&)) {
  return std::ranges::any_of(spec.mounts, wanted);
}

// In the order of config.md and config-linux.md.
constexpr Field kFields[] = {
    {"ociVersion", runtime, "1.0 to 1.3"},
    {"root.path", init, "pivot_root, with --no-pivot MS_MOVE and chroot"},
    {"root.readonly", init, "after all mounts and devices are there"},
    {"mounts.destination", init, "resolved in-root; made when missing"},
    {"mounts.type", init, "fsopen of any type; cgroup: the container's own directories, bound"},
    {"mounts.source", runtime,
     "binds are opened on the host's side, relative ones from the bundle"},
    {"mounts.options", init, "idmap, ridmap, copy-symlink and iversion are refused"},
    {"mounts.uidMappings", refused, "id-mapped mounts",
     [](const Spec& s) {
       return any_mount(s, [](const oci::Mount& m) { return !m.uid_mappings.empty(); });
     }},
    {"mounts.gidMappings", refused, "id-mapped mounts",
     [](const Spec& s) {
       return any_mount(s, [](const oci::Mount& m) { return !m.gid_mappings.empty(); });
     }},
    {"process.terminal", init,
     "a pty of the container's devpts; the master goes to the console socket"},
    {"process.consoleSize", init, ""},
    {"process.cwd", init, "made when missing; must lie in the root"},
    {"process.env", init, "HOME is added when missing"},
    {"process.args", init, ""},
    {"process.commandLine", not_applicable, "Windows"},
    {"process.rlimits", runtime, "prlimit(2) when the first process is ready"},
    {"process.user.uid", init, ""},
    {"process.user.gid", init, ""},
    {"process.user.umask", init, "022 when absent"},
    {"process.user.additionalGids", init, ""},
    {"process.user.username", not_applicable, "Windows"},
    {"process.capabilities", init, "exactly the five sets; absent is empty"},
    {"process.noNewPrivileges", init, ""},
    {"process.apparmorProfile", init, "refused where the kernel has AppArmor off"},
    {"process.selinuxLabel", init, "refused where the kernel has SELinux off"},
    {"process.oomScoreAdj", liblxc, "lxc.proc.oom_score_adj; for exec by nexcage"},
    {"process.scheduler", init, ""},
    {"process.ioPriority", init, ""},
    {"process.execCPUAffinity", refused, "no CPU affinity for exec",
     [](const Spec& s) { return s.process && s.process->exec_cpu_affinity.has_value(); }},
    {"hostname", liblxc, "lxc.uts.name; by init in a namespace joined by path"},
    {"domainname", init, ""},
    {"hooks.prestart", runtime, "after the mounts, before pivot_root"},
    {"hooks.createRuntime", runtime, "after the mounts, before pivot_root"},
    {"hooks.createContainer", init, "in the container's namespaces, before pivot_root"},
    {"hooks.startContainer", init, "in the container, before privileges are dropped"},
    {"hooks.poststart", runtime, ""},
    {"hooks.poststop", runtime, ""},
    {"annotations", runtime, "kept in the state"},
    {"linux.namespaces", liblxc, "new and by path; a mount namespace and one new one are needed"},
    {"linux.uidMappings", liblxc, "lxc.idmap"},
    {"linux.gidMappings", liblxc, "lxc.idmap"},
    {"linux.timeOffsets", liblxc, "seconds or nanoseconds, not both"},
    {"linux.devices", init, "mknod; in a user namespace the host's node is bound"},
    {"linux.netDevices", refused, "moving network devices",
     [](const Spec& s) { return s.linux_ && !s.linux_->net_devices.empty(); }},
    {"linux.cgroupsPath", liblxc, "lxc.cgroup.dir.container; the systemd form is refused"},
    {"linux.resources.devices", liblxc, "the standard devices stay allowed"},
    {"linux.resources.memory.limit", liblxc, "v1 limit_in_bytes, v2 memory.max"},
    {"linux.resources.memory.reservation", liblxc, "v1 soft_limit_in_bytes, v2 memory.low"},
    {"linux.resources.memory.swap", liblxc,
     "v1 memsw.limit_in_bytes, v2 memory.swap.max (swap - limit)"},
    {"linux.resources.memory.kernel", liblxc, "v1; refused on v2"},
    {"linux.resources.memory.kernelTCP", liblxc, "v1; refused on v2"},
    {"linux.resources.memory.swappiness", liblxc, "v1; refused on v2"},
    {"linux.resources.memory.disableOOMKiller", liblxc, "v1; true is refused on v2"},
    {"linux.resources.memory.useHierarchy", liblxc, "v1; v2 is always so"},
    {"linux.resources.memory.checkBeforeUpdate", not_applicable, "update only"},
    {"linux.resources.cpu.shares", liblxc, "v1 cpu.shares, v2 cpu.weight"},
    {"linux.resources.cpu.quota", liblxc, "v1 cfs_quota_us, v2 cpu.max"},
    {"linux.resources.cpu.burst", liblxc, ""},
    {"linux.resources.cpu.period", liblxc, "v1 cfs_period_us, v2 cpu.max"},
    {"linux.resources.cpu.realtimeRuntime", liblxc, "v1; refused on v2"},
    {"linux.resources.cpu.realtimePeriod", liblxc, "v1; refused on v2"},
    {"linux.resources.cpu.cpus", liblxc, "cpuset.cpus"},
    {"linux.resources.cpu.mems", liblxc, "cpuset.mems"},
    {"linux.resources.cpu.idle", liblxc, ""},
    {"linux.resources.pids.limit", liblxc, "0 and less: unlimited"},
    {"linux.resources.blockIO.weight", liblxc, "v1 blkio.weight, v2 io.weight"},
    {"linux.resources.blockIO.leafWeight", liblxc, "v1; refused on v2"},
    {"linux.resources.blockIO.weightDevice", liblxc, "leafWeight of it: v1 only"},
    {"linux.resources.blockIO.throttleReadBpsDevice", liblxc, "v2 io.max"},
    {"linux.resources.blockIO.throttleWriteBpsDevice", liblxc, "v2 io.max"},
    {"linux.resources.blockIO.throttleReadIOPSDevice", liblxc, "v2 io.max"},
    {"linux.resources.blockIO.throttleWriteIOPSDevice", liblxc, "v2 io.max"},
    {"linux.resources.hugepageLimits", liblxc, ""},
    {"linux.resources.network.classID", liblxc, "v1; refused without net_cls"},
    {"linux.resources.network.priorities", liblxc, "v1; refused without net_prio"},
    {"linux.resources.rdma", liblxc, ""},
    {"linux.resources.unified", liblxc, "controllers on v2; refused for those on v1"},
    {"linux.sysctl", init, "only those of a namespace the container has"},
    {"linux.seccomp.defaultAction", init, "compiled by nexcage with libseccomp"},
    {"linux.seccomp.defaultErrnoRet", init, "EPERM when absent"},
    {"linux.seccomp.architectures", init, ""},
    {"linux.seccomp.flags", init, "TSYNC, LOG, SPEC_ALLOW"},
    {"linux.seccomp.listenerPath", refused, "no notifications",
     [](const Spec& s) {
       return s.linux_ && s.linux_->seccomp && !s.linux_->seccomp->listener_path.empty();
     }},
    {"linux.seccomp.listenerMetadata", refused, "no notifications",
     [](const Spec& s) {
       return s.linux_ && s.linux_->seccomp && !s.linux_->seccomp->listener_metadata.empty();
     }},
    {"linux.seccomp.syscalls", init, "SCMP_ACT_NOTIFY is refused"},
    {"linux.rootfsPropagation", init, ""},
    {"linux.maskedPaths", init, ""},
    {"linux.readonlyPaths", init, ""},
    {"linux.mountLabel", refused, "SELinux mount labels",
     [](const Spec& s) { return s.linux_ && !s.linux_->mount_label.empty(); }},
    {"linux.intelRdt", refused, "resctrl groups",
     [](const Spec& s) { return s.linux_ && s.linux_->intel_rdt.has_value(); }},
    {"linux.memoryPolicy", init, ""},
    {"linux.personality.domain", init, ""},
    {"linux.personality.flags", refused, "the spec names none for Linux",
     [](const Spec& s) {
       return s.linux_ && s.linux_->personality && !s.linux_->personality->flags.empty();
     }},
    {"vm", not_applicable, "virtual machines"},
};

}  // namespace

std::string_view applied_name(Applied applied) {
  constexpr std::array<std::string_view, 5> kNames = {"liblxc", "init", "runtime", "refused",
                                                      "not applicable"};
  return kNames.at(static_cast<std::size_t>(applied));
}

std::span<const Field> fields() { return kFields; }

Result<> check_fields(const oci::Spec& spec) {
  for (const Field& field : kFields)
    if (field.used != nullptr && field.used(spec))
      return fail(Errc::Unsupported, std::string(field.pointer) +
                                         ": not supported by the lxc backend (" +
                                         std::string(field.note) + ")");
  return {};
}

}  // namespace nexcage::backends::lxc
