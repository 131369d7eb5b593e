#include "nexcage/backends/lxc/fields.h"

#include <algorithm>
#include <array>

#include "nexcage/backends/own.h"

namespace nexcage::backends::lxc {
namespace {

using enum Applied;
using oci::Spec;

// In the order of config.md and config-linux.md.
constexpr Field kFields[] = {
    {"ociVersion", runtime, "1.0 to 1.3"},
    {"root.path", init, "pivot_root, with --no-pivot MS_MOVE and chroot"},
    {"root.readonly", init, "after all mounts and devices are there"},
    {"mounts.destination", init, "resolved in-root; made when missing"},
    {"mounts.type", init, "fsopen of any type; cgroup: the container's own directories, bound"},
    {"mounts.source", runtime,
     "binds are opened on the host's side, relative ones from the bundle"},
    {"mounts.options", init,
     "recursive ones, idmap, ridmap, copy-symlink, tmpcopyup; iversion is refused"},
    {"mounts.uidMappings", runtime, "of binds; MOUNT_ATTR_IDMAP before the first process has them"},
    {"mounts.gidMappings", runtime, "of binds; MOUNT_ATTR_IDMAP before the first process has them"},
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
    {"process.capabilities", init,
     "exactly the five sets; absent is empty; what cannot be granted is left out with a warning"},
    {"process.noNewPrivileges", init, ""},
    {"process.apparmorProfile", init, "refused where the kernel has AppArmor off"},
    {"process.selinuxLabel", init, "refused where the kernel has SELinux off"},
    {"process.oomScoreAdj", liblxc, "lxc.proc.oom_score_adj; for exec by nexcage"},
    {"process.scheduler", init, ""},
    {"process.ioPriority", init, ""},
    {"process.execCPUAffinity", runtime, "around entering the container's cgroup"},
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
    {"linux.timeOffsets", init, "the first process makes the time namespace"},
    {"linux.devices", init, "mknod; in a user namespace the host's node is bound"},
    {"linux.netDevices", runtime, "moved with their addresses; set up by the first process"},
    {"linux.cgroupsPath", runtime,
     "made in every hierarchy; SLICE:PREFIX:NAME with --systemd-cgroup"},
    {"linux.resources.devices", runtime, "the standard devices stay allowed"},
    {"linux.resources.memory.limit", runtime, "v1 limit_in_bytes, v2 memory.max"},
    {"linux.resources.memory.reservation", runtime, "v1 soft_limit_in_bytes, v2 memory.low"},
    {"linux.resources.memory.swap", runtime,
     "v1 memsw.limit_in_bytes, v2 memory.swap.max (swap - limit)"},
    {"linux.resources.memory.kernel", runtime, "v1; refused on v2"},
    {"linux.resources.memory.kernelTCP", runtime, "v1; refused on v2"},
    {"linux.resources.memory.swappiness", runtime, "v1; refused on v2"},
    {"linux.resources.memory.disableOOMKiller", runtime, "v1; true is refused on v2"},
    {"linux.resources.memory.useHierarchy", runtime, "v1; v2 is always so"},
    {"linux.resources.memory.checkBeforeUpdate", not_applicable, "update only"},
    {"linux.resources.cpu.shares", runtime, "v1 cpu.shares, v2 cpu.weight"},
    {"linux.resources.cpu.quota", runtime, "v1 cfs_quota_us, v2 cpu.max"},
    {"linux.resources.cpu.burst", runtime, ""},
    {"linux.resources.cpu.period", runtime, "v1 cfs_period_us, v2 cpu.max"},
    {"linux.resources.cpu.realtimeRuntime", runtime, "v1; refused on v2"},
    {"linux.resources.cpu.realtimePeriod", runtime, "v1; refused on v2"},
    {"linux.resources.cpu.cpus", runtime, "cpuset.cpus"},
    {"linux.resources.cpu.mems", runtime, "cpuset.mems"},
    {"linux.resources.cpu.idle", runtime, ""},
    {"linux.resources.pids.limit", runtime, "0 and less: unlimited"},
    {"linux.resources.blockIO.weight", runtime, "v1 blkio.weight, v2 io.weight"},
    {"linux.resources.blockIO.leafWeight", runtime, "v1; refused on v2"},
    {"linux.resources.blockIO.weightDevice", runtime, "leafWeight of it: v1 only"},
    {"linux.resources.blockIO.throttleReadBpsDevice", runtime, "v2 io.max"},
    {"linux.resources.blockIO.throttleWriteBpsDevice", runtime, "v2 io.max"},
    {"linux.resources.blockIO.throttleReadIOPSDevice", runtime, "v2 io.max"},
    {"linux.resources.blockIO.throttleWriteIOPSDevice", runtime, "v2 io.max"},
    {"linux.resources.hugepageLimits", runtime, ""},
    {"linux.resources.network.classID", runtime, "v1; refused without net_cls"},
    {"linux.resources.network.priorities", runtime, "v1; refused without net_prio"},
    {"linux.resources.rdma", runtime, ""},
    {"linux.resources.unified", runtime, "controllers on v2; refused for those on v1"},
    {"linux.sysctl", init, "only those of a namespace the container has"},
    {"linux.seccomp.defaultAction", init, "compiled by nexcage with libseccomp"},
    {"linux.seccomp.defaultErrnoRet", init, "EPERM when absent"},
    {"linux.seccomp.architectures", init, ""},
    {"linux.seccomp.flags", init, "TSYNC, LOG, SPEC_ALLOW, WAIT_KILLABLE_RECV"},
    {"linux.seccomp.listenerPath", runtime, "sent at start and exec, when a rule notifies"},
    {"linux.seccomp.listenerMetadata", runtime, ""},
    {"linux.seccomp.syscalls", init, ""},
    {"linux.rootfsPropagation", init, ""},
    {"linux.maskedPaths", init, ""},
    {"linux.readonlyPaths", init, ""},
    {"linux.mountLabel", init, "refused where the kernel has SELinux off"},
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

Result<> check_fields(const oci::Spec& spec) { return refuse_used(fields(), spec, "lxc"); }

}  // namespace nexcage::backends::lxc
