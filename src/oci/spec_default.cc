// The spec that a container gets when nobody wrote one.
#include <array>

#include "nexcage/oci/spec.h"

namespace nexcage::oci {
namespace {

/// What Podman and Docker give by default: enough for daemons that drop privileges themselves,
/// nothing that reaches the host.
constexpr std::array<const char*, 11> kCapabilities = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",    "CAP_FSETID",
    "CAP_KILL",    "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",   "CAP_SETGID",
    "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT"};

Process default_process() {
  Process process;
  process.args = {"sh"};
  process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  process.cwd = "/";
  Capabilities capabilities;
  capabilities.bounding.assign(kCapabilities.begin(), kCapabilities.end());
  capabilities.effective = capabilities.bounding;
  capabilities.permitted = capabilities.bounding;
  process.capabilities = std::move(capabilities);
  process.no_new_privileges = true;
  return process;
}

std::vector<Mount> default_mounts() {
  const auto mount = [](const char* destination, const char* type, const char* source,
                        std::vector<std::string> options) {
    return Mount{destination, type, source, std::move(options), {}, {}};
  };
  return {
      mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
      mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
      mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
      mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}),
  };
}

DeviceRule rule(bool allow, char type, std::optional<std::int64_t> major,
                std::optional<std::int64_t> minor, const char* access) {
  return {allow, type, major, minor, access};
}

/// Everything denied, then the devices that the spec obliges a runtime to supply
/// (config-linux.md, "Default Devices"), and mknod of any, which grants no access.
std::vector<DeviceRule> default_device_rules() {
  return {
      rule(false, 'a', std::nullopt, std::nullopt, "rwm"),
      rule(true, 'c', std::nullopt, std::nullopt, "m"),
      rule(true, 'b', std::nullopt, std::nullopt, "m"),
      rule(true, 'c', 1, 3, "rwm"),               // null
      rule(true, 'c', 1, 5, "rwm"),               // zero
      rule(true, 'c', 1, 7, "rwm"),               // full
      rule(true, 'c', 1, 8, "rwm"),               // random
      rule(true, 'c', 1, 9, "rwm"),               // urandom
      rule(true, 'c', 5, 0, "rwm"),               // tty
      rule(true, 'c', 5, 1, "rwm"),               // console
      rule(true, 'c', 5, 2, "rwm"),               // ptmx
      rule(true, 'c', 136, std::nullopt, "rwm"),  // pts/*
  };
}

Linux default_linux() {
  Linux section;
  Resources resources;
  resources.devices = default_device_rules();
  section.resources = std::move(resources);
  for (NamespaceType type : {NamespaceType::pid, NamespaceType::network, NamespaceType::ipc,
                             NamespaceType::uts, NamespaceType::mount, NamespaceType::cgroup})
    section.namespaces.push_back({type, {}});
  section.masked_paths = {"/proc/acpi",
                          "/proc/asound",
                          "/proc/interrupts",
                          "/proc/kcore",
                          "/proc/keys",
                          "/proc/latency_stats",
                          "/proc/timer_list",
                          "/proc/timer_stats",
                          "/proc/sched_debug",
                          "/proc/scsi",
                          "/sys/devices/virtual/powercap",
                          "/sys/firmware"};
  section.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                            "/proc/sysrq-trigger"};
  return section;
}

}  // namespace

Spec default_spec() {
  Spec spec;
  spec.oci_version = "1.0.2";
  spec.process = default_process();
  spec.root = Root{"rootfs", true};
  spec.hostname = "nexcage";
  spec.mounts = default_mounts();
  spec.linux_ = default_linux();
  return spec;
}

Spec default_rootless_spec(uid_t uid, gid_t gid) {
  Spec spec = default_spec();
  Linux& section = *spec.linux_;
  // A new network namespace could not be given a network, and its /sys could not be mounted.
  std::erase_if(section.namespaces,
                [](const Namespace& one) { return one.type == NamespaceType::network; });
  section.namespaces.push_back({NamespaceType::user, {}});
  section.uid_mappings = {{.container_id = 0, .host_id = uid, .size = 1}};
  section.gid_mappings = {{.container_id = 0, .host_id = gid, .size = 1}};
  section.resources.reset();
  // Only one id is mapped: no other can own anything.
  for (Mount& mount : spec.mounts) {
    std::erase_if(mount.options, [](const std::string& option) {
      return option.starts_with("gid=") || option.starts_with("uid=");
    });
    if (mount.destination == "/sys")
      mount = {"/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}, {}, {}};
  }
  return spec;
}

}  // namespace nexcage::oci
