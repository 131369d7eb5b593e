#include "nexcage/backends/vm/fields.h"

#include <algorithm>
#include <array>
#include <string>

#include "nexcage/backends/own.h"

namespace nexcage::backends::vm {

const oci::Resources* resources_of(const oci::Spec& spec) {
  return spec.linux_ && spec.linux_->resources ? &*spec.linux_->resources : nullptr;
}

namespace {

using enum Applied;
using oci::NamespaceType;
using oci::Spec;

/// The container would see the host's, or another container's: a machine has its own.
bool shares_namespace(const Spec& spec) {
  if (!spec.linux_) return false;
  for (const NamespaceType type : {NamespaceType::pid, NamespaceType::network, NamespaceType::mount,
                                   NamespaceType::ipc, NamespaceType::uts})
    if (spec.linux_->find(type) == nullptr) return true;
  return std::ranges::any_of(spec.linux_->namespaces, [](const oci::Namespace& one) {
    return one.type != NamespaceType::network && !one.path.empty();
  });
}

/// Numbers that mean the same in every kernel: memory devices and terminals.
bool has_host_device(const Spec& spec) {
  constexpr std::int64_t kMemory = 1, kTty = 5;
  return spec.linux_ && std::ranges::any_of(spec.linux_->devices, [](const oci::Device& device) {
           return device.type != 'p' &&
                  (device.type == 'b' || (device.major != kMemory && device.major != kTty));
         });
}

bool maps_ids(const Spec& spec) {
  return spec.linux_ && (!spec.linux_->uid_mappings.empty() || !spec.linux_->gid_mappings.empty() ||
                         spec.linux_->find(NamespaceType::user) != nullptr);
}

// In the order of config.md, config-linux.md and config-vm.md.
constexpr Field kFields[] = {
    {"ociVersion", runtime, "1.0 to 1.3"},
    {"root.path", machine, "of a bundle by virtiofs; the layers of an image as disks"},
    {"root.readonly", guest, "a bundle's directory is read-only on the host, too"},
    {"mounts.destination", guest, "resolved in-root; made when missing"},
    {"mounts.type", guest, "file systems of the guest's kernel; cgroup is version 2"},
    {"mounts.source", machine,
     "directories by virtiofs; files by virtiofs, small ones that are read-only or the engine's "
     "own "
     "as a copy; /dev/shm is the guest's"},
    {"mounts.options", guest,
     "read-only binds are so on the host, too; idmap, and of binds shared, slave, tmpcopyup, sync "
     "and "
     "words for a file system are refused"},
    {"mounts.uidMappings", refused, "ids are not mapped between host and guest",
     [](const Spec& s) {
       return std::ranges::any_of(s.mounts, [](const auto& m) { return !m.uid_mappings.empty(); });
     }},
    {"mounts.gidMappings", refused, "ids are not mapped between host and guest",
     [](const Spec& s) {
       return std::ranges::any_of(s.mounts, [](const auto& m) { return !m.gid_mappings.empty(); });
     }},
    {"process.terminal", guest, "a pty of the guest, passed on through one of the host"},
    {"process.consoleSize", guest, ""},
    {"process.cwd", guest, "made when missing; must lie in the root"},
    {"process.env", guest, "HOME is added when missing"},
    {"process.args", guest, ""},
    {"process.commandLine", not_applicable, "Windows"},
    {"process.rlimits", guest, ""},
    {"process.user.uid", guest, ""},
    {"process.user.gid", guest, ""},
    {"process.user.umask", guest, "022 when absent"},
    {"process.user.additionalGids", guest, ""},
    {"process.user.username", not_applicable, "Windows"},
    {"process.capabilities", guest, "of the guest's kernel"},
    {"process.noNewPrivileges", guest, ""},
    {"process.apparmorProfile", refused, "profiles are the host kernel's",
     [](const Spec& s) { return s.process && !s.process->apparmor_profile.empty(); }},
    {"process.selinuxLabel", refused, "labels are the host kernel's",
     [](const Spec& s) { return s.process && !s.process->selinux_label.empty(); }},
    {"process.oomScoreAdj", runtime, "of QEMU"},
    {"process.scheduler", guest, "among the guest's own processes"},
    {"process.ioPriority", guest, "among the guest's own processes"},
    {"process.execCPUAffinity", refused, "the guest numbers its processors itself",
     [](const Spec& s) { return s.process && s.process->exec_cpu_affinity.has_value(); }},
    {"hostname", guest, ""},
    {"domainname", guest, ""},
    {"hooks.prestart", runtime,
     "when the machine is up and the process waits; interfaces that they add to the network do not "
     "reach the guest"},
    {"hooks.createRuntime", runtime, "as prestart"},
    {"hooks.createContainer", refused, "a path of the host means nothing in the guest",
     [](const Spec& s) { return !s.hooks.create_container.empty(); }},
    {"hooks.startContainer", guest, "in the container, before privileges are dropped"},
    {"hooks.poststart", runtime, ""},
    {"hooks.poststop", runtime, ""},
    {"annotations", runtime, "kept in the state"},
    {"linux.namespaces", machine,
     "those of the machine; a network namespace by path is joined by a tap device"},
    {"linux.namespaces.path", refused,
     "a machine shares no namespace but that of the network, and has all",
     [](const Spec& s) { return shares_namespace(s); }},
    {"linux.uidMappings", refused, "the guest's root is not the host's",
     [](const Spec& s) { return maps_ids(s); }},
    {"linux.gidMappings", refused, "the guest's root is not the host's",
     [](const Spec& s) { return maps_ids(s); }},
    {"linux.timeOffsets", refused, "the guest has clocks of its own",
     [](const Spec& s) { return s.linux_ && !s.linux_->time_offsets.empty(); }},
    {"linux.devices", guest, "memory devices and terminals, whose numbers are the same everywhere"},
    {"linux.devices.major", refused, "a device of the host is none of the guest",
     [](const Spec& s) { return has_host_device(s); }},
    {"linux.netDevices", refused, "a device of the host cannot be moved into another kernel",
     [](const Spec& s) { return s.linux_ && !s.linux_->net_devices.empty(); }},
    {"linux.cgroupsPath", runtime, "of QEMU and its helpers"},
    {"linux.resources.devices", not_applicable, "the machine's devices are its own"},
    {"linux.resources.memory.limit", machine,
     "the machine's memory; its cgroup gets this and what QEMU itself needs"},
    {"linux.resources.memory.reservation", runtime, "of QEMU's cgroup"},
    {"linux.resources.memory.swap", runtime, "of QEMU's cgroup"},
    {"linux.resources.memory.kernel", runtime, "of QEMU's cgroup, v1; refused on v2"},
    {"linux.resources.memory.kernelTCP", runtime, "of QEMU's cgroup, v1; refused on v2"},
    {"linux.resources.memory.swappiness", runtime, "of QEMU's cgroup, v1; refused on v2"},
    {"linux.resources.memory.disableOOMKiller", runtime, "of QEMU's cgroup, v1"},
    {"linux.resources.memory.useHierarchy", runtime, "v1; v2 is always so"},
    {"linux.resources.memory.checkBeforeUpdate", not_applicable, "update only"},
    {"linux.resources.cpu.shares", runtime, "of QEMU's cgroup"},
    {"linux.resources.cpu.quota", runtime,
     "of QEMU's cgroup; rounded up, the number of processors"},
    {"linux.resources.cpu.burst", runtime, "of QEMU's cgroup"},
    {"linux.resources.cpu.period", runtime, "of QEMU's cgroup"},
    {"linux.resources.cpu.realtimeRuntime", runtime, "of QEMU's cgroup, v1; refused on v2"},
    {"linux.resources.cpu.realtimePeriod", runtime, "of QEMU's cgroup, v1; refused on v2"},
    {"linux.resources.cpu.cpus", runtime, "of QEMU's cgroup; their number is the machine's"},
    {"linux.resources.cpu.mems", runtime, "of QEMU's cgroup"},
    {"linux.resources.cpu.idle", runtime, "of QEMU's cgroup"},
    {"linux.resources.pids.limit", guest, "0 and less: unlimited"},
    {"linux.resources.blockIO", runtime,
     "of QEMU's cgroup; throttling also by QEMU, for disks that lie on the device"},
    {"linux.resources.hugepageLimits", refused, "QEMU takes no huge pages",
     [](const Spec& s) {
       return resources_of(s) != nullptr && !resources_of(s)->hugepage_limits.empty();
     }},
    {"linux.resources.network", refused, "the guest's packets have no class on the host",
     [](const Spec& s) {
       return resources_of(s) != nullptr && resources_of(s)->network.has_value();
     }},
    {"linux.resources.rdma", refused, "the guest has no such devices",
     [](const Spec& s) { return resources_of(s) != nullptr && !resources_of(s)->rdma.empty(); }},
    {"linux.resources.unified", refused, "it would count QEMU, not the container",
     [](const Spec& s) { return resources_of(s) != nullptr && !resources_of(s)->unified.empty(); }},
    {"linux.sysctl", guest, "any: the kernel is the container's own"},
    {"linux.seccomp", guest, "compiled by nexcage with libseccomp"},
    {"linux.seccomp.listenerPath", refused, "notifications do not leave the guest",
     [](const Spec& s) {
       return s.linux_ && s.linux_->seccomp && !s.linux_->seccomp->listener_path.empty();
     }},
    {"linux.rootfsPropagation", guest, ""},
    {"linux.maskedPaths", guest, ""},
    {"linux.readonlyPaths", guest, ""},
    {"linux.mountLabel", refused, "labels are the host kernel's",
     [](const Spec& s) { return s.linux_ && !s.linux_->mount_label.empty(); }},
    {"linux.intelRdt", refused, "resctrl groups",
     [](const Spec& s) { return s.linux_ && s.linux_->intel_rdt.has_value(); }},
    {"linux.memoryPolicy", refused, "the guest has one node of memory",
     [](const Spec& s) { return s.linux_ && s.linux_->memory_policy.has_value(); }},
    {"linux.personality.domain", guest, ""},
    {"linux.personality.flags", refused, "the spec names none for Linux",
     [](const Spec& s) {
       return s.linux_ && s.linux_->personality && !s.linux_->personality->flags.empty();
     }},
    {"vm.hypervisor.path", machine, "a QEMU for this machine's architecture"},
    {"vm.hypervisor.parameters", machine, "after our own"},
    {"vm.kernel.path", machine, "in place of the configured one"},
    {"vm.kernel.parameters", machine, "after our own"},
    {"vm.kernel.initrd", machine, "the agent is added to it as /init"},
    {"vm.image.path", machine, "the root file system in place of root.path"},
    {"vm.image.format", machine, "raw, qcow2 without a backing file; others are refused"},
    {"vm.hwConfig.deviceTree", refused, "machines of this architecture have none",
     [](const Spec& s) {
       return s.vm && s.vm->hw_config && !s.vm->hw_config->device_tree.empty();
     }},
    {"vm.hwConfig.vcpus", machine, "before what linux.resources.cpu says"},
    {"vm.hwConfig.memory", machine, "bytes; at most linux.resources.memory.limit"},
};

}  // namespace

std::string_view applied_name(Applied applied) {
  constexpr std::array<std::string_view, 5> kNames = {"guest", "machine", "runtime", "refused",
                                                      "not applicable"};
  return kNames.at(static_cast<std::size_t>(applied));
}

std::span<const Field> fields() { return kFields; }

Result<> check_fields(const oci::Spec& spec) { return refuse_used(fields(), spec, "vm"); }

Result<> check_process(const oci::Process& process) {
  oci::Spec spec;
  spec.process = process;
  return check_fields(spec);
}

}  // namespace nexcage::backends::vm
