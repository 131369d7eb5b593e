#include "nexcage/backends/lxc/systemd_unit.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "nexcage/backends/lxc/plan.h"
#include "nexcage/base/text.h"

namespace nexcage::backends::lxc {
namespace {

constexpr std::string_view kSlice = ".slice";
constexpr std::uint64_t kMaxProcessors = 8192;
constexpr std::uint64_t kSecond = 1'000'000;  // in microseconds

/// "a-b.slice" -> "a.slice/a-b.slice"; "-.slice", the root, is "" (systemd.slice(5)).
Result<std::string> slice_path(const std::string& slice) {
  if (slice == "-.slice") return std::string();
  const std::string stem = slice.substr(0, slice.size() - std::min(slice.size(), kSlice.size()));
  std::string path, upper;
  for (const std::string& part : split(stem, '-')) {
    if (part.empty() || !slice.ends_with(kSlice) || stem.find('/') != std::string::npos)
      return fail(Errc::InvalidConfig, "linux.cgroupsPath: " + quote(slice) + " is no slice");
    upper += (upper.empty() ? "" : "-") + part;
    path += upper + std::string(kSlice) + "/";
  }
  return path;
}

/// A number as systemd takes it: no limit is the largest one.
std::string number_of(const std::string& value) {
  const std::string word = value.substr(value.rfind(' ') + 1);
  return word == "max" || word == "-1" ? std::to_string(UINT64_MAX) : word;
}

struct NumberProperty {
  std::string_view file, property;
};
constexpr std::array<NumberProperty, 11> kNumbers = {{
    {"memory.max", "MemoryMax"},
    {"memory.limit_in_bytes", "MemoryMax"},
    {"memory.high", "MemoryHigh"},
    {"memory.low", "MemoryLow"},
    {"memory.min", "MemoryMin"},
    {"memory.swap.max", "MemorySwapMax"},
    {"pids.max", "TasksMax"},
    {"cpu.weight", "CPUWeight"},
    {"cpu.shares", "CPUShares"},
    {"io.weight", "IOWeight"},
    {"blkio.weight", "BlockIOWeight"},
}};

/// quota and period of any version.
struct Bandwidth {
  std::optional<std::int64_t> quota;  // microseconds, -1 unlimited
  std::optional<std::uint64_t> period;
};

void note_bandwidth(const CgroupLimit& limit, Bandwidth& out) {
  const auto quota_of = [](const std::string& word) {
    return word == "max" ? std::optional<std::int64_t>(-1) : parse_i64(word);
  };
  if (limit.file == "cpu.cfs_quota_us") out.quota = quota_of(limit.value);
  if (limit.file == "cpu.cfs_period_us") out.period = parse_u64(limit.value);
  if (limit.file != "cpu.max") return;
  const std::vector<std::string> words = split(limit.value, ' ');
  out.quota = quota_of(words[0]);
  if (words.size() > 1) out.period = parse_u64(words[1]);
}

/// systemd counts in whole percents of a processor: rounded up, or the file's limit would be above
/// the unit's.
void add_bandwidth(const Bandwidth& bandwidth, std::vector<std::string>& lines) {
  constexpr std::uint64_t kDefaultPeriod = 100'000, kPercent = kSecond / 100;
  if (bandwidth.period)
    lines.push_back("CPUQuotaPeriodUSec t " + std::to_string(*bandwidth.period));
  if (!bandwidth.quota) return;
  std::uint64_t each_second = UINT64_MAX;
  if (*bandwidth.quota > 0) {
    const std::uint64_t period =
        std::max<std::uint64_t>(bandwidth.period.value_or(kDefaultPeriod), 1);
    each_second = static_cast<std::uint64_t>(*bandwidth.quota) * kSecond / period;
    each_second = (each_second + kPercent - 1) / kPercent * kPercent;
  }
  lines.push_back("CPUQuotaPerSecUSec t " + std::to_string(each_second));
}

Result<> add_cpuset(const CgroupLimit& limit, std::vector<std::string>& lines) {
  // Version 1 has no such property.
  if (!limit.v2 || (limit.file != "cpuset.cpus" && limit.file != "cpuset.mems")) return {};
  NX_TRY(const std::string mask, bit_mask(limit.value, kMaxProcessors, limit.field));
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char byte : mask) {
    const auto value = static_cast<unsigned char>(byte);
    text += kDigits[value >> 4];
    text += kDigits[value & 0xf];
  }
  const std::string name = limit.file == "cpuset.cpus" ? "AllowedCPUs" : "AllowedMemoryNodes";
  if (!text.empty()) lines.push_back(name + " ay " + text);
  return {};
}

/// The name of a major number in /proc/devices, below the heading of its kind.
std::optional<std::string> major_name(char type, std::int64_t major,
                                      std::string_view proc_devices) {
  bool right_kind = false;
  for (const std::string& line : split(proc_devices, '\n')) {
    if (line.starts_with("Character") || line.starts_with("Block"))
      right_kind = line.front() == (type == 'c' ? 'C' : 'B');
    const std::string_view words = trim(line);
    const std::size_t space = words.find(' ');
    if (right_kind && space != std::string_view::npos && parse_i64(words.substr(0, space)) == major)
      return std::string(words.substr(space + 1));
  }
  return std::nullopt;
}

/// The first word of a DeviceAllow entry; "" for a kind of device that this kernel does not have.
std::optional<std::string> device_name(const sys::DeviceRule& rule, std::string_view proc_devices) {
  const std::string kind = rule.type == 'c' ? "char" : "block";
  if (!rule.major && !rule.minor) return kind + "-*";
  if (!rule.major) return std::nullopt;
  if (rule.minor)
    return "/dev/" + kind + "/" + std::to_string(*rule.major) + ":" + std::to_string(*rule.minor);
  const auto name = major_name(rule.type, *rule.major, proc_devices);
  return name ? kind + "-" + *name : "";
}

}  // namespace

Result<SystemdUnit> parse_systemd_unit(const std::string& cgroups_path, const std::string& id) {
  std::vector<std::string> parts = {"", "nexcage", id};
  if (!cgroups_path.empty()) parts = split(cgroups_path, ':');
  if (parts.size() != 3 || parts[2].empty())
    return fail(Errc::InvalidConfig, "linux.cgroupsPath " + quote(cgroups_path) +
                                         ": with systemd cgroups it is SLICE:PREFIX:NAME");
  SystemdUnit unit;
  unit.slice = parts[0].empty() ? "system.slice" : parts[0];
  const std::string& name = parts[2];
  if (name.ends_with(kSlice))
    return fail(Errc::Unsupported, "linux.cgroupsPath " + quote(cgroups_path) +
                                       ": a slice of its own for a container");
  unit.name = (parts[1].empty() ? name : parts[1] + "-" + name) + ".scope";
  if (unit.name.find('/') != std::string::npos)
    return fail(Errc::InvalidConfig, "linux.cgroupsPath " + quote(cgroups_path) + ": has a slash");
  NX_TRY(unit.cgroup, slice_path(unit.slice));
  unit.cgroup += unit.name;
  return unit;
}

Result<std::vector<std::string>> plan_unit_limits(const std::vector<CgroupLimit>& limits) {
  std::vector<std::string> lines;
  Bandwidth bandwidth;
  for (const CgroupLimit& limit : limits) {
    for (const auto& [file, property] : kNumbers)
      if (limit.file == file)
        lines.push_back(std::string(property) + " t " + number_of(limit.value));
    note_bandwidth(limit, bandwidth);
    NX_CHECK(add_cpuset(limit, lines));
  }
  add_bandwidth(bandwidth, lines);
  return lines;
}

std::optional<std::vector<std::string>> plan_unit_devices(const std::vector<sys::DeviceRule>& rules,
                                                          std::string_view proc_devices) {
  bool everything = true;  // what no rule speaks of is allowed
  std::vector<std::string> allowed;
  for (const sys::DeviceRule& rule : rules) {
    if (rule.type == 'a') {
      if (rule.access != "rwm") return std::nullopt;
      everything = rule.allow;
      allowed.clear();
      continue;
    }
    if (everything && rule.allow) continue;
    const auto name = device_name(rule, proc_devices);
    if (!rule.allow || !name) return std::nullopt;  // an exception to what is allowed
    if (!name->empty()) allowed.push_back("DeviceAllow a(ss) " + *name + " " + rule.access);
  }
  if (everything) return std::vector<std::string>();
  allowed.insert(allowed.begin(), "DevicePolicy s strict");
  return allowed;
}

}  // namespace nexcage::backends::lxc
