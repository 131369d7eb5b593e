#include "nexcage/backends/cgroup_limits.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::backends {
namespace {

constexpr std::string_view kSection = "linux.resources.";

std::unexpected<Error> refuse(Errc code, std::string_view field, std::string_view why) {
  return fail(code, std::string(kSection) + std::string(field) + ": " + std::string(why));
}

std::unexpected<Error> only_v1(std::string_view field) {
  return refuse(Errc::Unsupported, field, "cgroup version 2 has no such setting");
}

/// Collects the files of one controller after the other.
class Limits {
 public:
  Limits(const sys::CgroupLayout& layout, std::vector<CgroupLimit>& out)
      : layout_(layout), out_(out) {}

  /// The controller must exist; from here on add() is about it. Unsupported names the field.
  Result<> use(std::string_view controller, std::string_view field) {
    const sys::CgroupHierarchy* hierarchy = layout_.with(controller);
    if (hierarchy == nullptr)
      return refuse(Errc::Unsupported, field,
                    "this host has no cgroup controller " + quote(controller));
    controller_ = controller;
    v2_ = hierarchy->v2();
    return {};
  }
  bool v2() const { return v2_; }
  void add(std::string_view field, std::string file, std::string value) {
    out_.push_back(
        {controller_, v2_, std::move(file), std::move(value), std::string(field), "", ""});
  }
  /// The file added last may be missing: then this one.
  void or_else(std::string file, std::string value) {
    out_.back().or_file = std::move(file);
    out_.back().or_value = std::move(value);
  }
  template <class T>
  void add_if(std::string_view field, std::string file, const std::optional<T>& value) {
    if (value) add(field, std::move(file), std::to_string(*value));
  }

 private:
  const sys::CgroupLayout& layout_;
  std::vector<CgroupLimit>& out_;
  std::string controller_;
  bool v2_ = false;
};

template <class T>
bool named(const std::optional<T>& value) {
  return value && *value != 0;
}

std::string or_max(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

/// What version 2 counts as swap alone, the spec counts with the memory (config-linux.md).
Result<std::string> swap_max(const oci::MemoryLimits& memory, const LimitsInForce& in_force) {
  const std::int64_t swap = *memory.swap;
  if (swap < 0) return std::string("max");
  const auto limit = named(memory.limit) ? memory.limit : in_force.memory;
  if (!limit || *limit < 0)
    return refuse(Errc::InvalidConfig, "memory.swap", "without a memory limit");
  if (swap < *limit)
    return refuse(Errc::InvalidConfig, "memory.swap",
                  "less than the memory limit, " + std::to_string(*limit));
  return std::to_string(swap - *limit);
}

Result<> memory_v2(oci::MemoryLimits memory, const LimitsInForce& in_force, Limits& limits) {
  if (memory.kernel && *memory.kernel > 0) return only_v1("memory.kernel");
  if (memory.kernel_tcp && *memory.kernel_tcp > 0) return only_v1("memory.kernelTCP");
  if (memory.swappiness) return only_v1("memory.swappiness");
  if (memory.disable_oom_killer.value_or(false)) return only_v1("memory.disableOOMKiller");
  // No limit of memory means none of memory and swap together either, as on version 1.
  if (memory.limit == -1 && !named(memory.swap)) memory.swap = -1;
  if (memory.check_before_update.value_or(false) && memory.limit.value_or(0) > 0 &&
      in_force.memory_used.value_or(0) > static_cast<std::uint64_t>(*memory.limit))
    return refuse(Errc::InvalidConfig, "memory.limit",
                  std::to_string(*in_force.memory_used) + " bytes are in use");
  if (named(memory.limit)) limits.add("memory.limit", "memory.max", or_max(*memory.limit));
  if (named(memory.reservation))
    limits.add("memory.reservation", "memory.low", or_max(*memory.reservation));
  if (named(memory.swap)) {
    NX_TRY(std::string value, swap_max(memory, in_force));
    limits.add("memory.swap", "memory.swap.max", std::move(value));
  }
  return {};
}

/// A limit of memory and the one of memory and swap: at no time may the first exceed the second.
Result<> memory_pair_v1(oci::MemoryLimits memory, const LimitsInForce& in_force, Limits& limits) {
  if (memory.limit == -1 && !named(memory.swap) && in_force.memory_swap) memory.swap = -1;
  const auto memory_limit = [&] {
    if (named(memory.limit))
      limits.add("memory.limit", "memory.limit_in_bytes", std::to_string(*memory.limit));
  };
  const auto swap_limit = [&] {
    if (named(memory.swap))
      limits.add("memory.swap", "memory.memsw.limit_in_bytes", std::to_string(*memory.swap));
  };
  const auto limit = named(memory.limit) ? memory.limit : in_force.memory;
  const auto both = named(memory.swap) ? memory.swap : in_force.memory_swap;
  if (limit && both && *both >= 0 && (*limit < 0 || *limit > *both)) {
    if (named(memory.swap))
      return refuse(Errc::InvalidConfig, "memory.swap",
                    "less than the memory limit, " + std::to_string(*limit));
    Error error(Errc::InvalidConfig,
                std::string(kSection) + "memory.limit: " + std::to_string(*limit) +
                    " is more than the limit of memory and swap, " + std::to_string(*both));
    return fail(std::move(error).hint("change the swap limit at the same time"));
  }
  const bool raises = named(memory.swap) && in_force.memory &&
                      (*memory.swap < 0 || *in_force.memory < *memory.swap);
  if (raises) swap_limit();
  memory_limit();
  if (!raises) swap_limit();
  return {};
}

Result<> memory_v1(const oci::MemoryLimits& memory, const LimitsInForce& in_force, Limits& limits) {
  NX_CHECK(memory_pair_v1(memory, in_force, limits));
  if (named(memory.reservation))
    limits.add("memory.reservation", "memory.soft_limit_in_bytes",
               std::to_string(*memory.reservation));
  if (named(memory.kernel))
    limits.add("memory.kernel", "memory.kmem.limit_in_bytes", std::to_string(*memory.kernel));
  if (named(memory.kernel_tcp))
    limits.add("memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes",
               std::to_string(*memory.kernel_tcp));
  limits.add_if("memory.swappiness", "memory.swappiness", memory.swappiness);
  if (memory.disable_oom_killer.value_or(false))
    limits.add("memory.disableOOMKiller", "memory.oom_control", "1");
  if (memory.use_hierarchy.value_or(false))
    limits.add("memory.useHierarchy", "memory.use_hierarchy", "1");
  return {};
}

Result<> plan_memory(const oci::MemoryLimits& memory, const LimitsInForce& in_force,
                     Limits& limits) {
  const bool any = named(memory.limit) || named(memory.reservation) || named(memory.swap) ||
                   named(memory.kernel) || named(memory.kernel_tcp) || memory.swappiness ||
                   memory.disable_oom_killer.value_or(false) ||
                   memory.use_hierarchy.value_or(false);
  if (!any) return {};
  NX_CHECK(limits.use("memory", "memory"));
  return limits.v2() ? memory_v2(memory, in_force, limits) : memory_v1(memory, in_force, limits);
}

/// cpu.shares 2..262144 to cpu.weight 1..10000, as runc and crun convert.
std::uint64_t weight_of_shares(std::uint64_t shares) {
  const std::uint64_t clamped = std::clamp<std::uint64_t>(shares, 2, 262144);
  return 1 + (clamped - 2) * 9999 / 262142;
}

Result<> cpu_v2(const oci::CpuLimits& cpu, const LimitsInForce& in_force, Limits& limits) {
  if (named(cpu.realtime_runtime)) return only_v1("cpu.realtimeRuntime");
  if (named(cpu.realtime_period)) return only_v1("cpu.realtimePeriod");
  if (named(cpu.shares))
    limits.add("cpu.shares", "cpu.weight", std::to_string(weight_of_shares(*cpu.shares)));
  if (named(cpu.quota) || named(cpu.period)) {
    constexpr std::uint64_t kDefaultPeriod = 100000;
    const std::int64_t quota = named(cpu.quota) ? *cpu.quota : in_force.cpu_quota.value_or(-1);
    const std::uint64_t period =
        named(cpu.period) ? *cpu.period : in_force.cpu_period.value_or(kDefaultPeriod);
    limits.add(named(cpu.quota) ? "cpu.quota" : "cpu.period", "cpu.max",
               (quota > 0 ? std::to_string(quota) : "max") + " " + std::to_string(period));
  }
  limits.add_if("cpu.burst", "cpu.max.burst", cpu.burst);
  limits.add_if("cpu.idle", "cpu.idle", cpu.idle);
  return {};
}

void cpu_v1(const oci::CpuLimits& cpu, const LimitsInForce& in_force, Limits& limits) {
  if (named(cpu.shares)) limits.add("cpu.shares", "cpu.shares", std::to_string(*cpu.shares));
  const auto period = [&] {
    if (named(cpu.period))
      limits.add("cpu.period", "cpu.cfs_period_us", std::to_string(*cpu.period));
  };
  // In between quota / period must not exceed what the parent has: the longer period goes first.
  const bool shorter = named(cpu.period) && in_force.cpu_period.value_or(0) > *cpu.period;
  if (!shorter) period();
  if (named(cpu.quota)) limits.add("cpu.quota", "cpu.cfs_quota_us", std::to_string(*cpu.quota));
  if (shorter) period();
  limits.add_if("cpu.burst", "cpu.cfs_burst_us", cpu.burst);
  if (named(cpu.realtime_period))
    limits.add("cpu.realtimePeriod", "cpu.rt_period_us", std::to_string(*cpu.realtime_period));
  if (named(cpu.realtime_runtime))
    limits.add("cpu.realtimeRuntime", "cpu.rt_runtime_us", std::to_string(*cpu.realtime_runtime));
  limits.add_if("cpu.idle", "cpu.idle", cpu.idle);
}

Result<> plan_cpu(const oci::CpuLimits& cpu, const LimitsInForce& in_force, Limits& limits) {
  if (named(cpu.shares) || named(cpu.quota) || named(cpu.period) || cpu.burst || cpu.idle ||
      named(cpu.realtime_period) || named(cpu.realtime_runtime)) {
    NX_CHECK(limits.use("cpu", "cpu"));
    if (limits.v2())
      NX_CHECK(cpu_v2(cpu, in_force, limits));
    else
      cpu_v1(cpu, in_force, limits);
  }
  if (cpu.cpus.empty() && cpu.mems.empty()) return {};
  NX_CHECK(limits.use("cpuset", "cpu.cpus"));
  if (!cpu.cpus.empty()) limits.add("cpu.cpus", "cpuset.cpus", cpu.cpus);
  if (!cpu.mems.empty()) limits.add("cpu.mems", "cpuset.mems", cpu.mems);
  return {};
}

/// blkio.weight 10..1000 to io.weight 1..10000.
std::uint64_t io_weight(std::uint16_t weight) {
  return 1 + (std::max<std::uint64_t>(weight, 10) - 10) * 9999 / 990;
}

std::string device_number(std::int64_t major, std::int64_t minor) {
  return std::to_string(major) + ":" + std::to_string(minor) + " ";
}

Result<> device_weight(const oci::BlockWeight& device, Limits& limits) {
  constexpr std::string_view kField = "blockIO.weightDevice";
  const std::string number = device_number(device.major, device.minor);
  if (limits.v2()) {
    if (device.leaf_weight) return only_v1("blockIO.weightDevice.leafWeight");
    if (device.weight)
      limits.add(kField, "io.weight", number + std::to_string(io_weight(*device.weight)));
    return {};
  }
  if (device.weight) {
    limits.add(kField, "blkio.weight_device", number + std::to_string(*device.weight));
    limits.or_else("blkio.bfq.weight_device", number + std::to_string(*device.weight));
  }
  if (device.leaf_weight)
    limits.add(kField, "blkio.leaf_weight_device", number + std::to_string(*device.leaf_weight));
  return {};
}

Result<> weights(const oci::BlockIo& io, Limits& limits) {
  if (limits.v2()) {
    if (named(io.leaf_weight)) return only_v1("blockIO.leafWeight");
    if (named(io.weight)) {
      limits.add("blockIO.weight", "io.weight", "default " + std::to_string(io_weight(*io.weight)));
      limits.or_else("io.bfq.weight", std::to_string(*io.weight));
    }
  } else {
    if (named(io.weight)) {
      limits.add("blockIO.weight", "blkio.weight", std::to_string(*io.weight));
      limits.or_else("blkio.bfq.weight", std::to_string(*io.weight));
    }
    if (named(io.leaf_weight))
      limits.add("blockIO.leafWeight", "blkio.leaf_weight", std::to_string(*io.leaf_weight));
  }
  for (const oci::BlockWeight& device : io.weight_device) NX_CHECK(device_weight(device, limits));
  return {};
}

struct Throttle {
  const std::vector<oci::BlockThrottle>& devices;
  std::string_view field, v1, v2;
};

Result<> plan_block_io(const oci::BlockIo& io, Limits& limits) {
  const bool any = named(io.weight) || named(io.leaf_weight) || !io.weight_device.empty() ||
                   !io.read_bps.empty() || !io.write_bps.empty() || !io.read_iops.empty() ||
                   !io.write_iops.empty();
  if (!any) return {};
  // The controller's name differs between the versions.
  if (!limits.use("io", "blockIO")) NX_CHECK(limits.use("blkio", "blockIO"));
  NX_CHECK(weights(io, limits));
  const Throttle throttles[] = {
      {io.read_bps, "blockIO.throttleReadBpsDevice", "read_bps_device", "rbps"},
      {io.write_bps, "blockIO.throttleWriteBpsDevice", "write_bps_device", "wbps"},
      {io.read_iops, "blockIO.throttleReadIOPSDevice", "read_iops_device", "riops"},
      {io.write_iops, "blockIO.throttleWriteIOPSDevice", "write_iops_device", "wiops"},
  };
  for (const Throttle& throttle : throttles)
    for (const oci::BlockThrottle& device : throttle.devices) {
      const std::string number = device_number(device.major, device.minor);
      // 0 takes a limit away; version 2 says max for that.
      const std::string rate = std::to_string(device.rate);
      if (limits.v2())
        limits.add(throttle.field, "io.max",
                   number + std::string(throttle.v2) + "=" + (device.rate == 0 ? "max" : rate));
      else
        limits.add(throttle.field, "blkio.throttle." + std::string(throttle.v1), number + rate);
    }
  return {};
}

Result<> plan_network(const oci::NetworkLimits& network, Limits& limits) {
  if (network.class_id) {
    NX_CHECK(limits.use("net_cls", "network.classID"));
    limits.add("network.classID", "net_cls.classid", std::to_string(*network.class_id));
  }
  if (network.priorities.empty()) return {};
  NX_CHECK(limits.use("net_prio", "network.priorities"));
  for (const oci::InterfacePriority& one : network.priorities)
    limits.add("network.priorities", "net_prio.ifpriomap",
               one.name + " " + std::to_string(one.priority));
  return {};
}

Result<> plan_rdma(const std::map<std::string, oci::Rdma>& rdma, Limits& limits) {
  for (const auto& [device, limit] : rdma) {
    NX_CHECK(limits.use("rdma", "rdma"));
    std::string value = device;
    if (limit.hca_handles) value += " hca_handle=" + std::to_string(*limit.hca_handles);
    if (limit.hca_objects) value += " hca_object=" + std::to_string(*limit.hca_objects);
    limits.add("rdma", "rdma.max", std::move(value));
  }
  return {};
}

Result<> plan_unified(const oci::StringMap& unified, const sys::CgroupLayout& layout,
                      std::vector<CgroupLimit>& out) {
  for (const auto& [file, value] : unified) {
    const std::string controller = file.substr(0, file.find('.'));
    const sys::CgroupHierarchy* hierarchy = layout.with(controller);
    const bool has_v2 =
        std::ranges::any_of(layout.hierarchies, [](const auto& one) { return one.v2(); });
    if (file.find('/') != std::string::npos || file.find('.') == std::string::npos)
      return refuse(Errc::InvalidConfig, "unified", quote(file) + " is no cgroup file");
    if (controller == "cgroup" ? !has_v2 : hierarchy == nullptr || !hierarchy->v2())
      return refuse(Errc::Unsupported, "unified",
                    quote(file) + ": this host has the controller not on cgroup version 2");
    out.push_back({controller == "cgroup" ? "" : controller, true, file, value, "unified", "", ""});
  }
  return {};
}

}  // namespace

Result<std::vector<CgroupLimit>> plan_cgroup_limits(const oci::Resources& resources,
                                                    const sys::CgroupLayout& layout,
                                                    const LimitsInForce& in_force) {
  std::vector<CgroupLimit> out;
  Limits limits(layout, out);
  if (resources.memory) NX_CHECK(plan_memory(*resources.memory, in_force, limits));
  if (resources.cpu) NX_CHECK(plan_cpu(*resources.cpu, in_force, limits));
  if (named(resources.pids_limit)) {
    NX_CHECK(limits.use("pids", "pids"));
    limits.add("pids.limit", "pids.max", or_max(*resources.pids_limit));
  }
  if (resources.block_io) NX_CHECK(plan_block_io(*resources.block_io, limits));
  for (const oci::HugepageLimit& limit : resources.hugepage_limits) {
    NX_CHECK(limits.use("hugetlb", "hugepageLimits"));
    limits.add("hugepageLimits",
               "hugetlb." + limit.page_size + (limits.v2() ? ".max" : ".limit_in_bytes"),
               std::to_string(limit.limit));
  }
  if (resources.network) NX_CHECK(plan_network(*resources.network, limits));
  NX_CHECK(plan_rdma(resources.rdma, limits));
  NX_CHECK(plan_unified(resources.unified, layout, out));
  return out;
}

}  // namespace nexcage::backends
