#include "nexcage/sys/cgroup_stats.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::sys {
namespace {

constexpr std::uint64_t kNanoseconds = 1'000'000'000;

/// The files of one hierarchy's directory; what is missing reads as nothing.
class Files {
 public:
  explicit Files(const CgroupHierarchy& hierarchy) : dir_(hierarchy.mount_point) {}

  std::string text(const std::string& name) const {
    auto text = read_file(AT_FDCWD, dir_ + "/" + name);
    return text ? std::string(trim(*text)) : "";
  }
  std::uint64_t number(const std::string& name) const {
    const std::string value = text(name);
    return value == "max" ? kNoLimit : parse_u64(value).value_or(0);
  }
  bool has(const std::string& name) const {
    return ::access((dir_ + "/" + name).c_str(), F_OK) == 0;
  }
  std::map<std::string, std::uint64_t> table(const std::string& name) const {
    return parse_flat_keyed(text(name));
  }

 private:
  std::string dir_;
};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words = split(text, ' ');
  std::erase(words, "");
  return words;
}

std::uint64_t at_or_zero(const std::map<std::string, std::uint64_t>& table,
                         const std::string& name) {
  const auto found = table.find(name);
  return found == table.end() ? 0 : found->second;
}

void cpu_v1(const CgroupLayout& dirs, CpuStats& out) {
  if (const CgroupHierarchy* account = dirs.with("cpuacct")) {
    const Files files(*account);
    out.total = files.number("cpuacct.usage");
    const auto stat = files.table("cpuacct.stat");
    const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    out.user = at_or_zero(stat, "user") * kNanoseconds / ticks;
    out.kernel = at_or_zero(stat, "system") * kNanoseconds / ticks;
    for (const std::string& word : words_of(files.text("cpuacct.usage_percpu")))
      out.per_cpu.push_back(parse_u64(word).value_or(0));
    // "cpu user system" above a line for each.
    for (const std::string& line : split(files.text("cpuacct.usage_all"), '\n')) {
      const std::vector<std::string> words = words_of(line);
      if (words.size() != 3 || !parse_u64(words[0])) continue;
      out.per_cpu_user.push_back(parse_u64(words[1]).value_or(0));
      out.per_cpu_kernel.push_back(parse_u64(words[2]).value_or(0));
    }
  }
}

void cpu_stats(const CgroupLayout& dirs, CpuStats& out) {
  const CgroupHierarchy* cpu = dirs.with("cpu");
  const CgroupHierarchy* base = cpu != nullptr && cpu->v2() ? cpu : nullptr;
  // Version 2 counts time whether or not the controller is enabled.
  if (base == nullptr && dirs.mode() == CgroupMode::v2) base = dirs.with("");
  if (base == nullptr) cpu_v1(dirs, out);
  if (base == nullptr) base = cpu;
  if (base == nullptr) return;
  const auto stat = Files(*base).table("cpu.stat");
  out.periods = at_or_zero(stat, "nr_periods");
  out.throttled_periods = at_or_zero(stat, "nr_throttled");
  out.throttled_time = at_or_zero(stat, "throttled_time");
  if (!base->v2()) return;
  constexpr std::uint64_t kPerMicrosecond = 1000;
  out.total = at_or_zero(stat, "usage_usec") * kPerMicrosecond;
  out.user = at_or_zero(stat, "user_usec") * kPerMicrosecond;
  out.kernel = at_or_zero(stat, "system_usec") * kPerMicrosecond;
  out.throttled_time = at_or_zero(stat, "throttled_usec") * kPerMicrosecond;
}

std::optional<CpusetStats> cpuset_stats(const CgroupLayout& dirs) {
  const CgroupHierarchy* hierarchy = dirs.with("cpuset");
  if (hierarchy == nullptr || hierarchy->v2()) return std::nullopt;
  const Files files(*hierarchy);
  CpusetStats out;
  out.cpus = files.text("cpuset.cpus");
  out.mems = files.text("cpuset.mems");
  for (const char* name :
       {"cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
        "memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"})
    out.values[name] = parse_i64(files.text(std::string("cpuset.") + name)).value_or(0);
  return out;
}

MemoryCounter counter_v1(const Files& files, const std::string& prefix) {
  return {.limit = files.number(prefix + ".limit_in_bytes"),
          .usage = files.number(prefix + ".usage_in_bytes"),
          .max = files.number(prefix + ".max_usage_in_bytes"),
          .failcnt = files.number(prefix + ".failcnt")};
}

/// A counter of a part of the memory, absent when the kernel does not keep it.
std::optional<MemoryCounter> part_v1(const Files& files, const std::string& prefix) {
  if (!files.has(prefix + ".limit_in_bytes")) return std::nullopt;
  return counter_v1(files, prefix);
}

std::uint64_t sum_of_limits(std::uint64_t a, std::uint64_t b) {
  return a == kNoLimit || b == kNoLimit ? kNoLimit : a + b;
}

void memory_stats(const CgroupLayout& dirs, MemoryStats& out) {
  const CgroupHierarchy* hierarchy = dirs.with("memory");
  if (hierarchy == nullptr) return;
  const Files files(*hierarchy);
  out.raw = files.table("memory.stat");
  if (!hierarchy->v2()) {
    out.cache = at_or_zero(out.raw, "cache");
    out.usage = counter_v1(files, "memory");
    out.swap = part_v1(files, "memory.memsw");
    out.kernel = part_v1(files, "memory.kmem");
    out.kernel_tcp = part_v1(files, "memory.kmem.tcp");
    return;
  }
  out.cache = at_or_zero(out.raw, "file");
  const auto events = files.table("memory.events");
  out.usage = {.limit = files.number("memory.max"),
               .usage = files.number("memory.current"),
               .max = files.number("memory.peak"),
               .failcnt = at_or_zero(events, "max")};
  if (!files.has("memory.swap.current")) return;
  // Both together, as version 1 counts.
  out.swap = MemoryCounter{
      .limit = sum_of_limits(out.usage.limit, files.number("memory.swap.max")),
      .usage = out.usage.usage + files.number("memory.swap.current"),
      .max = 0,
      .failcnt = at_or_zero(files.table("memory.swap.events"), "fail"),
  };
}

void pids_stats(const CgroupLayout& dirs, PidsStats& out) {
  const CgroupHierarchy* hierarchy = dirs.with("pids");
  if (hierarchy == nullptr) return;
  const Files files(*hierarchy);
  out.current = files.number("pids.current");
  const std::uint64_t limit = files.number("pids.max");
  out.limit = limit == kNoLimit ? 0 : limit;
}

void block_v1(const Files& files, BlockStats& out) {
  // The schedulers' own counters where one keeps them, else the block layer's.
  std::string prefix = "blkio.throttle.";
  for (const char* scheduler : {"blkio.bfq.", "blkio."})
    if (!parse_block_v1(files.text(std::string(scheduler) + "io_serviced_recursive")).empty())
      prefix = scheduler;
  const std::array<std::pair<std::vector<BlockEntry>*, const char*>, 8> wanted = {{
      {&out.bytes, "io_service_bytes_recursive"},
      {&out.operations, "io_serviced_recursive"},
      {&out.queued, "io_queued_recursive"},
      {&out.service_time, "io_service_time_recursive"},
      {&out.wait_time, "io_wait_time_recursive"},
      {&out.merged, "io_merged_recursive"},
      {&out.time, "time_recursive"},
      {&out.sectors, "sectors_recursive"},
  }};
  for (const auto& [entries, file] : wanted) *entries = parse_block_v1(files.text(prefix + file));
}

void block_stats(const CgroupLayout& dirs, BlockStats& out) {
  if (const CgroupHierarchy* io = dirs.with("io"))
    parse_io_stat(Files(*io).text("io.stat"), out);
  else if (const CgroupHierarchy* blkio = dirs.with("blkio"))
    block_v1(Files(*blkio), out);
}

void hugepage_stats(const CgroupLayout& dirs, std::map<std::string, HugepageStats>& out) {
  const CgroupHierarchy* hierarchy = dirs.with("hugetlb");
  if (hierarchy == nullptr) return;
  const std::string usage_file = hierarchy->v2() ? ".current" : ".usage_in_bytes";
  const auto dir = open_at(AT_FDCWD, hierarchy->mount_point, O_RDONLY | O_DIRECTORY);
  if (!dir) return;
  const auto names = list_dir(dir->get());
  if (!names) return;
  const Files files(*hierarchy);
  constexpr std::string_view kPrefix = "hugetlb.";
  for (const std::string& name : *names) {
    if (!name.starts_with(kPrefix) || !name.ends_with(usage_file)) continue;
    const std::string base = name.substr(0, name.size() - usage_file.size());
    const std::string size = base.substr(kPrefix.size());
    if (size.find('.') != std::string::npos) continue;  // reservations are counted apart
    HugepageStats& one = out[size];
    one.usage = files.number(name);
    if (hierarchy->v2()) {
      one.failcnt = at_or_zero(files.table(base + ".events"), "max");
    } else {
      one.max = files.number(base + ".max_usage_in_bytes");
      one.failcnt = files.number(base + ".failcnt");
    }
  }
}

}  // namespace

CgroupLayout cgroup_dirs(const CgroupLayout& layout, const std::string& path) {
  CgroupLayout dirs = layout;
  for (CgroupHierarchy& hierarchy : dirs.hierarchies)
    hierarchy.mount_point = clean_path(hierarchy.mount_point + "/" + path);
  return dirs;
}

Result<CgroupLayout> cgroup_dirs_of_process(const CgroupLayout& layout, pid_t pid) {
  NX_TRY(const auto paths, read_process_cgroups(pid));
  CgroupLayout dirs;
  for (CgroupHierarchy hierarchy : layout.hierarchies)
    for (const auto& [id, path] : paths) {
      if (id != hierarchy.id) continue;
      hierarchy.mount_point = clean_path(hierarchy.mount_point + "/" + path);
      dirs.hierarchies.push_back(hierarchy);
    }
  return dirs;
}

Result<CgroupStats> read_cgroup_stats(const CgroupLayout& dirs) {
  const bool any = std::ranges::any_of(dirs.hierarchies, [](const CgroupHierarchy& hierarchy) {
    return ::access(hierarchy.mount_point.c_str(), F_OK) == 0;
  });
  if (!any) return fail(Errc::InvalidState, "the container's cgroups are gone");
  CgroupStats out;
  cpu_stats(dirs, out.cpu);
  out.cpuset = cpuset_stats(dirs);
  memory_stats(dirs, out.memory);
  pids_stats(dirs, out.pids);
  block_stats(dirs, out.block);
  hugepage_stats(dirs, out.hugepages);
  return out;
}

std::map<std::string, std::uint64_t> parse_flat_keyed(std::string_view text) {
  std::map<std::string, std::uint64_t> out;
  for (const std::string& line : split(text, '\n')) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    if (const auto value = parse_u64(std::string_view(line).substr(space + 1)))
      out[line.substr(0, space)] = *value;
  }
  return out;
}

namespace {

/// "8:0" into its two numbers.
std::optional<BlockEntry> device_of(const std::string& word) {
  const std::size_t colon = word.find(':');
  if (colon == std::string::npos) return std::nullopt;
  const auto major = parse_u64(std::string_view(word).substr(0, colon));
  const auto minor = parse_u64(std::string_view(word).substr(colon + 1));
  if (!major || !minor) return std::nullopt;
  return BlockEntry{*major, *minor, "", 0};
}

}  // namespace

std::vector<BlockEntry> parse_block_v1(std::string_view text) {
  std::vector<BlockEntry> out;
  for (const std::string& line : split(text, '\n')) {
    const std::vector<std::string> words = words_of(line);
    auto entry = words.empty() ? std::nullopt : device_of(words[0]);
    if (!entry || words.size() < 2) continue;  // "Total 12"
    // Sectors and time have no kind of operation.
    if (words.size() > 2) entry->op = words[1];
    entry->value = parse_u64(words.back()).value_or(0);
    out.push_back(*std::move(entry));
  }
  return out;
}

void parse_io_stat(std::string_view text, BlockStats& out) {
  constexpr std::array<std::pair<std::string_view, const char*>, 6> kKinds = {{
      {"rbytes", "Read"},
      {"wbytes", "Write"},
      {"dbytes", "Discard"},
      {"rios", "Read"},
      {"wios", "Write"},
      {"dios", "Discard"},
  }};
  for (const std::string& line : split(text, '\n')) {
    const std::vector<std::string> words = words_of(line);
    const auto device = words.empty() ? std::nullopt : device_of(words[0]);
    if (!device) continue;
    for (const std::string& word : words) {
      const std::string_view key = std::string_view(word).substr(0, word.find('='));
      for (const auto& [name, op] : kKinds) {
        if (key != name) continue;
        auto& entries = key.ends_with("bytes") ? out.bytes : out.operations;
        const std::string_view value = std::string_view(word).substr(key.size() + 1);
        entries.push_back({device->major, device->minor, op, parse_u64(value).value_or(0)});
      }
    }
  }
}

}  // namespace nexcage::sys
