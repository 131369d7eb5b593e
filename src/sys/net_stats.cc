// Counters of network interfaces, as a process sees them.
#include <fcntl.h>
#include <sys/stat.h>

#include "nexcage/base/text.h"
#include "nexcage/sys/cgroup_stats.h"
#include "nexcage/sys/fs.h"

namespace nexcage::sys {

Result<std::vector<InterfaceCounters>> read_network_counters(pid_t pid) {
  const std::string proc = "/proc/" + std::to_string(pid);
  struct stat own{}, other{};
  if (::stat("/proc/self/ns/net", &own) != 0) return fail_errno("find our network namespace");
  if (::stat((proc + "/ns/net").c_str(), &other) != 0)
    return fail_errno("find the network namespace of process " + std::to_string(pid));
  if (own.st_ino == other.st_ino && own.st_dev == other.st_dev)
    return std::vector<InterfaceCounters>{};
  NX_TRY(const std::string text, read_file(AT_FDCWD, proc + "/net/dev"));
  return parse_net_dev(text);
}

std::vector<InterfaceCounters> parse_net_dev(std::string_view text) {
  constexpr std::size_t kColumns = 16;
  std::vector<InterfaceCounters> out;
  for (const std::string& line : split(text, '\n')) {
    const std::size_t colon = line.rfind(':');  // names may hold one
    if (colon == std::string::npos) continue;
    const std::string name(trim(std::string_view(line).substr(0, colon)));
    std::vector<std::uint64_t> numbers;
    for (const std::string& word : split(std::string_view(line).substr(colon + 1), ' '))
      if (const auto number = parse_u64(word)) numbers.push_back(*number);
    if (name == "lo" || numbers.size() != kColumns) continue;
    out.push_back({.name = name,
                   .rx_bytes = numbers[0],
                   .rx_packets = numbers[1],
                   .rx_errors = numbers[2],
                   .rx_dropped = numbers[3],
                   .tx_bytes = numbers[8],
                   .tx_packets = numbers[9],
                   .tx_errors = numbers[10],
                   .tx_dropped = numbers[11]});
  }
  return out;
}

}  // namespace nexcage::sys
