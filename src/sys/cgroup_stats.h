// What a container has used, from the files of its control groups, version 1 and 2 in one form.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/cgroup.h"

namespace nexcage::sys {

/// No limit, as version 1 and runc report it.
inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

struct CpuStats {
  std::uint64_t total = 0, kernel = 0, user = 0;  // nanoseconds
  std::vector<std::uint64_t> per_cpu, per_cpu_kernel, per_cpu_user;
  std::uint64_t periods = 0, throttled_periods = 0, throttled_time = 0;
};

/// Version 1 only; the files of the names.
struct CpusetStats {
  std::string cpus, mems;                      // "0-3,7"
  std::map<std::string, std::int64_t> values;  // "cpu_exclusive" ...
};

struct MemoryCounter {
  std::uint64_t limit = 0, usage = 0, max = 0, failcnt = 0;
};

struct MemoryStats {
  std::uint64_t cache = 0;
  MemoryCounter usage;
  std::optional<MemoryCounter> swap;  // memory and swap together
  std::optional<MemoryCounter> kernel, kernel_tcp;
  std::map<std::string, std::uint64_t> raw;  // memory.stat
};

struct PidsStats {
  std::uint64_t current = 0, limit = 0;  // limit 0: none
};

struct BlockEntry {
  std::uint64_t major = 0, minor = 0;
  std::string op;  // "Read"
  std::uint64_t value = 0;
  bool operator==(const BlockEntry&) const = default;
};

struct BlockStats {
  std::vector<BlockEntry> bytes, operations, queued, service_time, wait_time, merged, time, sectors;
};

struct HugepageStats {
  std::uint64_t usage = 0, max = 0, failcnt = 0;
};

/// Groups whose controller the host lacks are zero or empty.
struct CgroupStats {
  CpuStats cpu;
  std::optional<CpusetStats> cpuset;
  MemoryStats memory;
  PidsStats pids;
  BlockStats block;
  std::map<std::string, HugepageStats> hugepages;  // by page size, "2MB"
};

/// The hierarchies with their mount points moved down to the directories of one cgroup.
CgroupLayout cgroup_dirs(const CgroupLayout& layout, const std::string& path);
/// The same for the cgroups that a process is in, which may differ from hierarchy to hierarchy.
Result<CgroupLayout> cgroup_dirs_of_process(const CgroupLayout& layout, pid_t pid);

/// `dirs` as cgroup_dirs() gives them. Missing files count as nothing; a container without any
/// directory is InvalidState.
Result<CgroupStats> read_cgroup_stats(const CgroupLayout& dirs);

// Pure parts.

/// "key value" lines into a map; lines of another form do not count.
std::map<std::string, std::uint64_t> parse_flat_keyed(std::string_view text);
/// Version 1: "8:0 Read 12". The total over all devices is left out.
std::vector<BlockEntry> parse_block_v1(std::string_view text);
/// io.stat of version 2 into bytes and operations.
void parse_io_stat(std::string_view text, BlockStats& out);

struct InterfaceCounters {
  std::string name;
  std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};
/// The network interfaces a process sees, without lo; none when it shares our network namespace.
Result<std::vector<InterfaceCounters>> read_network_counters(pid_t pid);
/// /proc/PID/net/dev (proc(5)). Pure.
std::vector<InterfaceCounters> parse_net_dev(std::string_view text);

/// Tells when the kernel kills for want of memory: eventfd of version 1 (memory.txt section 10),
/// inotify on memory.events of version 2.
class OomWatch {
 public:
  /// Unsupported without a memory controller.
  static Result<OomWatch> open(const CgroupLayout& dirs);
  /// Readable when something may have happened.
  int fd() const { return events_.get(); }
  /// Empties the descriptor; how often memory ran out since the last call.
  Result<std::uint64_t> take();

 private:
  OomWatch() = default;
  Result<std::uint64_t> kills() const;

  UniqueFd events_, control_;
  std::string file_;  // memory.events of version 2, cgroup.event_control of version 1
  bool v2_ = false;
  std::uint64_t seen_ = 0;
};

}  // namespace nexcage::sys
