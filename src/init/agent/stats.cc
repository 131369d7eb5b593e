#include "nexcage/init/agent/stats.h"

#include <fcntl.h>
#include <unistd.h>

#include <map>

#include "nexcage/base/text.h"
#include "nexcage/init/agent/machine.h"
#include "nexcage/sys/cgroup_stats.h"
#include "nexcage/sys/fs.h"

namespace nexcage::init::agent {
namespace {

using vm::protocol::Stats;

constexpr std::uint64_t kMicrosecond = 1000;  // in nanoseconds
constexpr std::size_t kMaxProcesses = 4096;   // so that the answer fits in its frame

std::string read_group(const std::string& file) {
  return sys::read_file(AT_FDCWD, std::string(kCgroup) + "/" + file).value_or(std::string());
}

std::uint64_t number(const std::string& file) {
  return parse_u64(trim(read_group(file))).value_or(0);
}

std::uint64_t value(const std::map<std::string, std::uint64_t>& values, const char* key) {
  const auto found = values.find(key);
  return found == values.end() ? 0 : found->second;
}

void read_memory(Stats& out) {
  out.memory = number("memory.current");
  out.memory_max = number("memory.peak");
  const auto pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  if (pages > 0 && size > 0)
    out.memory_limit = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size);
  for (const auto& [name, count] : sys::parse_flat_keyed(read_group("memory.stat")))
    out.memory_raw.push_back({.name = name, .value = count});
  out.cache = value(sys::parse_flat_keyed(read_group("memory.stat")), "file");
}

void read_block(Stats& out) {
  sys::BlockStats stats;
  sys::parse_io_stat(read_group("io.stat"), stats);
  auto entry = [&](const sys::BlockEntry& from) -> vm::protocol::BlockCounter& {
    for (auto& counter : out.block)
      if (counter.major == from.major && counter.minor == from.minor) return counter;
    return out.block.emplace_back(
        vm::protocol::BlockCounter{.major = from.major, .minor = from.minor});
  };
  for (const sys::BlockEntry& from : stats.bytes) {
    if (from.op == "Read") entry(from).read_bytes = from.value;
    if (from.op == "Write") entry(from).written_bytes = from.value;
  }
  for (const sys::BlockEntry& from : stats.operations) {
    if (from.op == "Read") entry(from).reads = from.value;
    if (from.op == "Write") entry(from).writes = from.value;
  }
}

void read_network(Stats& out) {
  auto text = sys::read_file(AT_FDCWD, "/proc/self/net/dev");
  if (!text) return;
  for (const sys::InterfaceCounters& from : sys::parse_net_dev(*text))
    out.interfaces.push_back({.name = from.name,
                              .rx_bytes = from.rx_bytes,
                              .rx_packets = from.rx_packets,
                              .rx_errors = from.rx_errors,
                              .rx_dropped = from.rx_dropped,
                              .tx_bytes = from.tx_bytes,
                              .tx_packets = from.tx_packets,
                              .tx_errors = from.tx_errors,
                              .tx_dropped = from.tx_dropped});
}

}  // namespace

std::uint64_t out_of_memory_kills() {
  return value(sys::parse_flat_keyed(read_group("memory.events")), "oom_kill");
}

Stats read_stats() {
  Stats out;
  const auto cpu = sys::parse_flat_keyed(read_group("cpu.stat"));
  out.cpu = value(cpu, "usage_usec") * kMicrosecond;
  out.cpu_kernel = value(cpu, "system_usec") * kMicrosecond;
  out.cpu_user = value(cpu, "user_usec") * kMicrosecond;
  read_memory(out);
  out.pids = number("pids.current");
  out.pids_limit = number("pids.max");
  out.out_of_memory = out_of_memory_kills();
  read_block(out);
  read_network(out);
  for (const std::string& line : split(read_group("cgroup.procs"), '\n')) {
    const auto pid = parse_u64(line);
    if (pid && out.processes.size() < kMaxProcesses)
      out.processes.push_back(static_cast<std::uint32_t>(*pid));
  }
  return out;
}

}  // namespace nexcage::init::agent
