// Limits of a cgroup that processes live in: read, written, and written back when one is refused.
#include <cerrno>
#include <ranges>
#include <string_view>
#include <utility>

#include "nexcage/backends/cgroup_limits.h"
#include "nexcage/base/log.h"
#include "nexcage/base/text.h"

namespace nexcage::backends {
namespace {

/// What memcg answers for limits that were taken out of the kernel; userspace has no name for it.
constexpr int kKernelNotSupported = 524;

/// "max" and version 1's "as much as there is" are -1.
std::optional<std::int64_t> read_limit(const sys::Cgroup& cgroup, std::string_view controller,
                                       const std::string& file) {
  constexpr std::int64_t kUnlimited = std::int64_t{1} << 62;
  const auto text = cgroup.read(controller, file);
  if (!text) return std::nullopt;
  if (*text == "max") return -1;
  const auto number = parse_i64(*text);
  return number && *number >= kUnlimited ? -1 : number;
}

std::string first_word(std::string_view text) {
  return std::string(text.substr(0, text.find(' ')));
}

/// The limit of one device among many, before anybody set it.
std::string unset_value(const CgroupLimit& limit, const std::string& key) {
  if (limit.file.find("weight") != std::string::npos) return key + " default";
  if (limit.file != "io.max") return key + " 0";
  const std::string_view setting = std::string_view(limit.value).substr(key.size());
  return key + std::string(setting.substr(0, setting.find('='))) + "=max";
}

std::optional<std::string> line_of(const std::string& text, const std::string& key) {
  for (std::string& line : split(text, '\n'))
    if (first_word(line) == key) return std::move(line);
  return std::nullopt;
}

/// A limit that was written, and what brings the old one back.
struct Written {
  CgroupLimit limit;
  std::string before;
};

Error explain(Error error, const sys::Cgroup& cgroup, const CgroupLimit& limit) {
  const int number = error.sys_errno();
  if (number == ENOENT || number == EOPNOTSUPP || number == kKernelNotSupported)
    error = Error(
        std::move(error).wrap("this kernel cannot limit " + limit.field).as(Errc::Unsupported));
  if (number == ENOENT && limit.file.find("memsw") != std::string::npos)
    return std::move(error).hint("boot with swapaccount=1 to limit swap");
  if (number == EBUSY && limit.controller == "memory")
    if (const auto used = read_limit(cgroup, "memory", "memory.usage_in_bytes"))
      return std::move(error).hint(std::to_string(*used) + " bytes are in use");
  if (number == EBUSY && limit.controller == "cpuset")
    return std::move(error).hint("a cgroup below uses what would be taken away");
  return error;
}

/// Writes one limit; on success what was there before is in `written`.
Result<> write_limit(const sys::Cgroup& cgroup, CgroupLimit limit, std::vector<Written>& written) {
  auto before = cgroup.read(limit.controller, limit.file);
  if (!before && before.error().sys_errno() == ENOENT && !limit.or_file.empty()) {
    limit.file = limit.or_file;
    limit.value = limit.or_value;
    before = cgroup.read(limit.controller, limit.file);
  }
  if (!before) return fail(explain(std::move(before).error(), cgroup, limit));
  if (auto done = cgroup.write(limit.controller, limit.file, limit.value); !done)
    return fail(explain(std::move(done).error(), cgroup, limit));
  const std::string old = value_before(limit, *before);
  written.push_back({std::move(limit), old});
  return {};
}

/// Last first: the order in which the kernel takes them.
Error take_back(Error error, const sys::Cgroup& cgroup, const std::vector<Written>& written) {
  for (const Written& one : std::ranges::reverse_view(written))
    if (auto done = cgroup.write(one.limit.controller, one.limit.file, one.before); !done)
      error = Error(std::move(error).also(
          std::move(done).error().wrap("restore linux.resources." + one.limit.field)));
  return error;
}

}  // namespace

LimitsInForce read_limits_in_force(const sys::Cgroup& cgroup) {
  LimitsInForce out;
  out.memory_swap = read_limit(cgroup, "memory", "memory.memsw.limit_in_bytes");
  out.memory = read_limit(cgroup, "memory", "memory.limit_in_bytes");
  if (!out.memory) out.memory = read_limit(cgroup, "memory", "memory.max");
  if (const auto used = read_limit(cgroup, "memory", "memory.current"))
    out.memory_used = static_cast<std::uint64_t>(*used);
  out.cpu_quota = read_limit(cgroup, "cpu", "cpu.cfs_quota_us");
  if (const auto period = read_limit(cgroup, "cpu", "cpu.cfs_period_us"))
    out.cpu_period = static_cast<std::uint64_t>(*period);
  if (const auto text = cgroup.read("cpu", "cpu.max")) {
    const std::string quota = first_word(*text);
    out.cpu_quota = quota == "max" ? -1 : parse_i64(quota);
    out.cpu_period = parse_u64(std::string_view(*text).substr(text->find(' ') + 1));
  }
  return out;
}

std::string value_before(const CgroupLimit& limit, const std::string& before) {
  if (limit.file == "memory.oom_control") {
    const auto line = line_of(before, "oom_kill_disable");
    return line ? line->substr(line->find(' ') + 1) : "0";
  }
  // An empty list has to be written as something, or nothing is written.
  if (before.empty() && limit.controller == "cpuset") return "\n";
  if (limit.file == "cpu.max" || limit.value.find(' ') == std::string::npos) return before;
  const std::string key = first_word(limit.value);
  return line_of(before, key).value_or(unset_value(limit, key));
}

Result<> write_cgroup_limits(const sys::Cgroup& cgroup, const std::vector<CgroupLimit>& limits) {
  for (const CgroupLimit& limit : limits) {
    auto done = cgroup.write(limit.controller, limit.file, limit.value);
    if (!done && done.error().sys_errno() == ENOENT && !limit.or_file.empty())
      done = cgroup.write(limit.controller, limit.or_file, limit.or_value);
    if (!done)
      return fail(
          explain(std::move(done).error(), cgroup, limit).wrap("linux.resources." + limit.field));
  }
  return {};
}

Result<> update_cgroup(const sys::Cgroup& cgroup, const sys::CgroupLayout& layout,
                       const oci::Resources& resources) {
  NX_TRY(std::vector<CgroupLimit> limits,
         plan_cgroup_limits(resources, layout, read_limits_in_force(cgroup)));
  std::vector<Written> written;
  for (CgroupLimit& limit : limits) {
    const std::string field = "linux.resources." + limit.field;
    log::debug("update: " + limit.file + " = " + limit.value);
    if (auto done = write_limit(cgroup, std::move(limit), written); !done)
      return fail(take_back(std::move(done).error().wrap(field), cgroup, written));
  }
  return {};
}

}  // namespace nexcage::backends
