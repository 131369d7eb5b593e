#include "nexcage/cli/stats_json.h"

#include <optional>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::cli {
namespace {

/// More numbers than this are no list of processors.
constexpr std::uint64_t kMostNumbers = 1 << 16;

/// runc leaves zeros out of some fields and not of others.
void unless_zero(json::Object& object, std::string_view name, std::uint64_t value) {
  if (value != 0) object.set(std::string(name), value);
}

json::Array numbers(const std::vector<std::uint64_t>& values) {
  return {values.begin(), values.end()};
}

void unless_empty(json::Object& object, std::string_view name,
                  const std::vector<std::uint64_t>& values) {
  if (!values.empty()) object.set(std::string(name), numbers(values));
}

json::Value cpu_json(const sys::CpuStats& cpu) {
  json::Object usage;
  unless_zero(usage, "total", cpu.total);
  unless_empty(usage, "percpu", cpu.per_cpu);
  unless_empty(usage, "percpu_kernel", cpu.per_cpu_kernel);
  unless_empty(usage, "percpu_user", cpu.per_cpu_user);
  usage.set("kernel", cpu.kernel);
  usage.set("user", cpu.user);
  json::Object throttling;
  unless_zero(throttling, "periods", cpu.periods);
  unless_zero(throttling, "throttledPeriods", cpu.throttled_periods);
  unless_zero(throttling, "throttledTime", cpu.throttled_time);
  json::Object object;
  object.set("usage", std::move(usage));
  object.set("throttling", std::move(throttling));
  return object;
}

json::Value cpuset_json(const std::optional<sys::CpusetStats>& cpuset) {
  static constexpr const char* kValues[] = {
      "cpu_exclusive",   "mem_hardwall",       "mem_exclusive",
      "memory_migrate",  "memory_spread_page", "memory_spread_slab",
      "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
  };
  const sys::CpusetStats stats = cpuset.value_or(sys::CpusetStats{});
  json::Object object;
  unless_empty(object, "cpus", expand_list(stats.cpus));
  for (const char* name : kValues) {
    const auto found = stats.values.find(name);
    object.set(name, found == stats.values.end() ? std::int64_t{0} : found->second);
    if (std::string_view(name) == "cpu_exclusive")
      unless_empty(object, "mems", expand_list(stats.mems));
  }
  return object;
}

json::Value counter_json(const sys::MemoryCounter& counter) {
  json::Object object;
  object.set("limit", counter.limit);
  unless_zero(object, "usage", counter.usage);
  unless_zero(object, "max", counter.max);
  object.set("failcnt", counter.failcnt);
  return object;
}

json::Value memory_json(const sys::MemoryStats& memory) {
  json::Object object;
  unless_zero(object, "cache", memory.cache);
  object.set("usage", counter_json(memory.usage));
  object.set("swap", counter_json(memory.swap.value_or(sys::MemoryCounter{})));
  object.set("kernel", counter_json(memory.kernel.value_or(sys::MemoryCounter{})));
  object.set("kernelTCP", counter_json(memory.kernel_tcp.value_or(sys::MemoryCounter{})));
  json::Object raw;
  for (const auto& [name, value] : memory.raw) raw.append(name, value);
  if (!raw.empty()) object.set("raw", std::move(raw));
  return object;
}

void entries_json(json::Object& object, std::string_view name,
                  const std::vector<sys::BlockEntry>& entries) {
  json::Array array;
  for (const sys::BlockEntry& entry : entries) {
    json::Object one;
    unless_zero(one, "major", entry.major);
    unless_zero(one, "minor", entry.minor);
    if (!entry.op.empty()) one.set("op", entry.op);
    unless_zero(one, "value", entry.value);
    array.emplace_back(std::move(one));
  }
  if (!array.empty()) object.set(std::string(name), std::move(array));
}

json::Value block_json(const sys::BlockStats& block) {
  json::Object object;
  entries_json(object, "ioServiceBytesRecursive", block.bytes);
  entries_json(object, "ioServicedRecursive", block.operations);
  entries_json(object, "ioQueueRecursive", block.queued);
  entries_json(object, "ioServiceTimeRecursive", block.service_time);
  entries_json(object, "ioWaitTimeRecursive", block.wait_time);
  entries_json(object, "ioMergedRecursive", block.merged);
  entries_json(object, "ioTimeRecursive", block.time);
  entries_json(object, "sectorsRecursive", block.sectors);
  return object;
}

json::Value hugepages_json(const std::map<std::string, sys::HugepageStats>& sizes) {
  json::Object object;
  for (const auto& [size, stats] : sizes) {
    json::Object one;
    unless_zero(one, "usage", stats.usage);
    unless_zero(one, "max", stats.max);
    one.set("failcnt", stats.failcnt);
    object.set(size, std::move(one));
  }
  return object;
}

json::Value interfaces_json(const std::vector<sys::InterfaceCounters>& interfaces) {
  if (interfaces.empty()) return {};
  json::Array array;
  for (const sys::InterfaceCounters& one : interfaces) {
    json::Object object;
    object.set("Name", one.name);
    object.set("RxBytes", one.rx_bytes);
    object.set("RxPackets", one.rx_packets);
    object.set("RxErrors", one.rx_errors);
    object.set("RxDropped", one.rx_dropped);
    object.set("TxBytes", one.tx_bytes);
    object.set("TxPackets", one.tx_packets);
    object.set("TxErrors", one.tx_errors);
    object.set("TxDropped", one.tx_dropped);
    array.emplace_back(std::move(object));
  }
  return array;
}

}  // namespace

std::string event_line(std::string_view type, const std::string& id, json::Value data) {
  json::Object object;
  object.set("type", type);
  object.set("id", id);
  if (!data.is_null()) object.set("data", std::move(data));
  return json::dump(object) + "\n";
}

json::Value stats_json(const sys::CgroupStats& stats,
                       const std::vector<sys::InterfaceCounters>& interfaces) {
  json::Object object;
  object.set("cpu", cpu_json(stats.cpu));
  object.set("cpuset", cpuset_json(stats.cpuset));
  object.set("memory", memory_json(stats.memory));
  json::Object pids;
  unless_zero(pids, "current", stats.pids.current);
  unless_zero(pids, "limit", stats.pids.limit);
  object.set("pids", std::move(pids));
  object.set("blkio", block_json(stats.block));
  object.set("hugetlb", hugepages_json(stats.hugepages));
  object.set("intel_rdt", json::Object{});
  object.set("network_interfaces", interfaces_json(interfaces));
  return object;
}

std::vector<std::uint64_t> expand_list(std::string_view text) {
  std::vector<std::uint64_t> out;
  for (const std::string& part : split(text, ',')) {
    const std::size_t dash = part.find('-');
    const auto first = parse_u64(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_u64(part.substr(dash + 1));
    if (!first || !last || *last < *first || *last >= kMostNumbers) return {};
    for (std::uint64_t number = *first; number <= *last; ++number) out.push_back(number);
  }
  return out;
}

}  // namespace nexcage::cli
