// linux.resources as liblxc configuration: the same wish in the words of cgroup version 1 or 2,
// whichever has the controller on this host.
#include <algorithm>

#include "nexcage/backends/lxc/plan.h"
#include "nexcage/base/text.h"

namespace nexcage::backends::lxc {
namespace {

/// Writes configuration lines for one controller.
class Lines {
 public:
  Lines(const HostFacts& facts, std::vector<ConfigLine>& out) : facts_(facts), out_(out) {}

  /// The controller must exist; from here on add() is about it. Unsupported names the field.
  Result<> use(std::string_view controller, std::string_view field) {
    const sys::CgroupHierarchy* hierarchy = facts_.cgroups.with(controller);
    if (hierarchy == nullptr)
      return fail(Errc::Unsupported, "linux.resources." + std::string(field) +
                                         ": this host has no cgroup controller \"" +
                                         std::string(controller) + "\"");
    v2_ = hierarchy->v2();
    return {};
  }
  /// For settings of version 2 that belong to no controller.
  void use_v2() { v2_ = true; }
  bool v2() const { return v2_; }
  void add(const std::string& file, const std::string& value) {
    out_.emplace_back((v2_ ? "lxc.cgroup2." : "lxc.cgroup.") + file, value);
  }
  template <class T>
  void add_if(const std::string& file, const std::optional<T>& value) {
    if (value) add(file, std::to_string(*value));
  }

 private:
  const HostFacts& facts_;
  std::vector<ConfigLine>& out_;
  bool v2_ = false;
};

std::unexpected<Error> only_v1(std::string_view field) {
  return fail(Errc::Unsupported,
              "linux.resources." + std::string(field) + ": cgroup version 2 has no such setting");
}

std::string or_max(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

/// What version 2 counts as swap alone, the spec counts with the memory (config-linux.md).
Result<std::string> swap_max(const oci::MemoryLimits& memory) {
  if (*memory.swap < 0) return std::string("max");
  if (!memory.limit || *memory.limit < 0)
    return fail(Errc::InvalidConfig, "linux.resources.memory.swap: without a memory limit");
  if (*memory.swap < *memory.limit)
    return fail(Errc::InvalidConfig, "linux.resources.memory.swap: less than the memory limit");
  return std::to_string(*memory.swap - *memory.limit);
}

Result<> memory_v2(const oci::MemoryLimits& memory, Lines& lines) {
  if (memory.kernel && *memory.kernel >= 0) return only_v1("memory.kernel");
  if (memory.kernel_tcp && *memory.kernel_tcp >= 0) return only_v1("memory.kernelTCP");
  if (memory.swappiness) return only_v1("memory.swappiness");
  if (memory.disable_oom_killer.value_or(false)) return only_v1("memory.disableOOMKiller");
  if (memory.limit) lines.add("memory.max", or_max(*memory.limit));
  if (memory.reservation) lines.add("memory.low", or_max(*memory.reservation));
  if (memory.swap) {
    NX_TRY(std::string value, swap_max(memory));
    lines.add("memory.swap.max", value);
  }
  return {};
}

Result<> plan_memory(const oci::MemoryLimits& memory, Lines& lines) {
  NX_CHECK(lines.use("memory", "memory"));
  if (lines.v2()) return memory_v2(memory, lines);
  lines.add_if("memory.limit_in_bytes", memory.limit);
  lines.add_if("memory.soft_limit_in_bytes", memory.reservation);
  lines.add_if("memory.memsw.limit_in_bytes", memory.swap);
  lines.add_if("memory.kmem.limit_in_bytes", memory.kernel);
  lines.add_if("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp);
  lines.add_if("memory.swappiness", memory.swappiness);
  if (memory.disable_oom_killer.value_or(false)) lines.add("memory.oom_control", "1");
  if (memory.use_hierarchy.value_or(false)) lines.add("memory.use_hierarchy", "1");
  return {};
}

/// cpu.shares 2..262144 to cpu.weight 1..10000, as runc and crun convert.
std::uint64_t weight_of_shares(std::uint64_t shares) {
  const std::uint64_t clamped = std::clamp<std::uint64_t>(shares, 2, 262144);
  return 1 + (clamped - 2) * 9999 / 262142;
}

Result<> cpu_v2(const oci::CpuLimits& cpu, Lines& lines) {
  if (cpu.realtime_runtime || cpu.realtime_period)
    return only_v1("cpu.realtimeRuntime, realtimePeriod");
  if (cpu.shares && *cpu.shares != 0)
    lines.add("cpu.weight", std::to_string(weight_of_shares(*cpu.shares)));
  if (cpu.quota || cpu.period) {
    constexpr std::uint64_t kDefaultPeriod = 100000;
    const std::int64_t quota = cpu.quota.value_or(-1);
    lines.add("cpu.max", (quota > 0 ? std::to_string(quota) : "max") + " " +
                             std::to_string(cpu.period.value_or(kDefaultPeriod)));
  }
  lines.add_if("cpu.max.burst", cpu.burst);
  lines.add_if("cpu.idle", cpu.idle);
  return {};
}

Result<> plan_cpu(const oci::CpuLimits& cpu, Lines& lines) {
  if (cpu.shares || cpu.quota || cpu.period || cpu.burst || cpu.idle || cpu.realtime_period ||
      cpu.realtime_runtime) {
    NX_CHECK(lines.use("cpu", "cpu"));
    if (lines.v2()) {
      NX_CHECK(cpu_v2(cpu, lines));
    } else {
      if (cpu.shares && *cpu.shares != 0) lines.add("cpu.shares", std::to_string(*cpu.shares));
      lines.add_if("cpu.cfs_period_us", cpu.period);
      lines.add_if("cpu.cfs_quota_us", cpu.quota);
      lines.add_if("cpu.cfs_burst_us", cpu.burst);
      lines.add_if("cpu.rt_period_us", cpu.realtime_period);
      lines.add_if("cpu.rt_runtime_us", cpu.realtime_runtime);
      lines.add_if("cpu.idle", cpu.idle);
    }
  }
  if (cpu.cpus.empty() && cpu.mems.empty()) return {};
  NX_CHECK(lines.use("cpuset", "cpu.cpus"));
  if (!cpu.cpus.empty()) lines.add("cpuset.cpus", cpu.cpus);
  if (!cpu.mems.empty()) lines.add("cpuset.mems", cpu.mems);
  return {};
}

std::string device_number(std::int64_t major, std::int64_t minor) {
  return std::to_string(major) + ":" + std::to_string(minor);
}

/// blkio.weight 10..1000 to io.weight 1..10000.
std::uint64_t io_weight(std::uint16_t weight) {
  return 1 + (std::max<std::uint64_t>(weight, 10) - 10) * 9999 / 990;
}

Result<> weights(const oci::BlockIo& io, Lines& lines) {
  if (lines.v2()) {
    if (io.leaf_weight) return only_v1("blockIO.leafWeight");
    if (io.weight && *io.weight != 0)
      lines.add("io.weight", "default " + std::to_string(io_weight(*io.weight)));
  } else {
    if (io.weight && *io.weight != 0) lines.add("blkio.weight", std::to_string(*io.weight));
    if (io.leaf_weight && *io.leaf_weight != 0)
      lines.add("blkio.leaf_weight", std::to_string(*io.leaf_weight));
  }
  for (const oci::BlockWeight& device : io.weight_device) {
    const std::string number = device_number(device.major, device.minor) + " ";
    if (lines.v2() && device.leaf_weight) return only_v1("blockIO.weightDevice.leafWeight");
    if (device.weight && lines.v2())
      lines.add("io.weight", number + std::to_string(io_weight(*device.weight)));
    if (device.weight && !lines.v2())
      lines.add("blkio.weight_device", number + std::to_string(*device.weight));
    if (device.leaf_weight && !lines.v2())
      lines.add("blkio.leaf_weight_device", number + std::to_string(*device.leaf_weight));
  }
  return {};
}

Result<> plan_block_io(const oci::BlockIo& io, Lines& lines) {
  // The controller's name differs between the versions.
  if (!lines.use("io", "blockIO")) NX_CHECK(lines.use("blkio", "blockIO"));
  NX_CHECK(weights(io, lines));
  auto throttle = [&](const std::vector<oci::BlockThrottle>& list, const char* v1, const char* v2) {
    for (const oci::BlockThrottle& device : list) {
      const std::string number = device_number(device.major, device.minor) + " ";
      if (lines.v2())
        lines.add("io.max", number + v2 + "=" + std::to_string(device.rate));
      else
        lines.add(std::string("blkio.throttle.") + v1, number + std::to_string(device.rate));
    }
  };
  throttle(io.read_bps, "read_bps_device", "rbps");
  throttle(io.write_bps, "write_bps_device", "wbps");
  throttle(io.read_iops, "read_iops_device", "riops");
  throttle(io.write_iops, "write_iops_device", "wiops");
  return {};
}

/// What every container may use whatever the list says: making nodes, the standard devices and
/// terminals (config-linux.md, "Default Devices"; runc's list).
constexpr std::string_view kAllowedDevices[] = {
    "c *:* m",   "b *:* m",   "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",
    "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm",
};

std::string rule_text(const oci::DeviceRule& rule, char type) {
  auto number = [](const std::optional<std::int64_t>& value) {
    return value && *value >= 0 ? std::to_string(*value) : "*";
  };
  return std::string(1, type) + " " + number(rule.major) + ":" + number(rule.minor) + " " +
         (rule.access.empty() ? "rwm" : rule.access);
}

/// The rules allow exactly this, and no later one takes anything away.
bool stands(const std::vector<oci::DeviceRule>& rules, std::string_view allowed) {
  bool found = false;
  for (const oci::DeviceRule& rule : rules)
    found = rule.allow && (found || rule_text(rule, rule.type) == allowed);
  return found;
}

Result<> plan_device_rules(const std::vector<oci::DeviceRule>& rules, const HostFacts& facts,
                           Lines& lines) {
  if (rules.empty()) return {};
  // Version 2 has no such controller: liblxc loads a BPF program instead.
  if (facts.cgroups.mode() == sys::CgroupMode::v2)
    lines.use_v2();
  else
    NX_CHECK(lines.use("devices", "devices"));
  for (const oci::DeviceRule& rule : rules) {
    const std::string file = rule.allow ? "devices.allow" : "devices.deny";
    // The kernel and liblxc read "a" as all devices and forget the rest: numbers need a type.
    if (rule.type == 'a' && (rule.major || rule.minor))
      for (char type : {'b', 'c'}) lines.add(file, rule_text(rule, type));
    else
      lines.add(file, rule_text(rule, rule.type));
  }
  // liblxc reads the whole list back for each line: none is written twice.
  for (std::string_view allowed : kAllowedDevices)
    if (!stands(rules, allowed)) lines.add("devices.allow", std::string(allowed));
  return {};
}

Result<> plan_network(const oci::NetworkLimits& network, Lines& lines) {
  if (network.class_id) {
    NX_CHECK(lines.use("net_cls", "network.classID"));
    lines.add("net_cls.classid", std::to_string(*network.class_id));
  }
  if (network.priorities.empty()) return {};
  NX_CHECK(lines.use("net_prio", "network.priorities"));
  for (const oci::InterfacePriority& one : network.priorities)
    lines.add("net_prio.ifpriomap", one.name + " " + std::to_string(one.priority));
  return {};
}

Result<> plan_unified(const oci::StringMap& unified, const HostFacts& facts,
                      std::vector<ConfigLine>& out) {
  for (const auto& [file, value] : unified) {
    const std::string controller = file.substr(0, file.find('.'));
    const sys::CgroupHierarchy* hierarchy = facts.cgroups.with(controller);
    const bool has_v2 =
        std::ranges::any_of(facts.cgroups.hierarchies, [](const auto& one) { return one.v2(); });
    if (file.find('/') != std::string::npos || file.find('.') == std::string::npos)
      return fail(Errc::InvalidConfig,
                  "linux.resources.unified: " + quote(file) + " is no cgroup file");
    if (controller == "cgroup" ? !has_v2 : hierarchy == nullptr || !hierarchy->v2())
      return fail(Errc::Unsupported, "linux.resources.unified: " + quote(file) +
                                         ": this host has the controller not on cgroup version 2");
    out.emplace_back("lxc.cgroup2." + file, value);
  }
  return {};
}

}  // namespace

Result<> plan_resources(const oci::Resources& resources, const HostFacts& facts,
                        std::vector<ConfigLine>& out) {
  Lines lines(facts, out);
  NX_CHECK(plan_device_rules(resources.devices, facts, lines));
  if (resources.memory) NX_CHECK(plan_memory(*resources.memory, lines));
  if (resources.cpu) NX_CHECK(plan_cpu(*resources.cpu, lines));
  if (resources.pids_limit) {
    NX_CHECK(lines.use("pids", "pids"));
    lines.add("pids.max",
              *resources.pids_limit > 0 ? std::to_string(*resources.pids_limit) : "max");
  }
  if (resources.block_io) NX_CHECK(plan_block_io(*resources.block_io, lines));
  for (const oci::HugepageLimit& limit : resources.hugepage_limits) {
    NX_CHECK(lines.use("hugetlb", "hugepageLimits"));
    lines.add("hugetlb." + limit.page_size + (lines.v2() ? ".max" : ".limit_in_bytes"),
              std::to_string(limit.limit));
  }
  if (resources.network) NX_CHECK(plan_network(*resources.network, lines));
  for (const auto& [device, limit] : resources.rdma) {
    NX_CHECK(lines.use("rdma", "rdma"));
    std::string value = device;
    if (limit.hca_handles) value += " hca_handle=" + std::to_string(*limit.hca_handles);
    if (limit.hca_objects) value += " hca_object=" + std::to_string(*limit.hca_objects);
    lines.add("rdma.max", value);
  }
  return plan_unified(resources.unified, facts, out);
}

}  // namespace nexcage::backends::lxc
