// The process part of the plan, the same for a container's first process and for exec.
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include <array>
#include <set>
#include <span>

#include "nexcage/backends/lxc/plan.h"
#include "nexcage/backends/seccomp.h"
#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/caps.h"

namespace nexcage::backends::lxc {
namespace {

struct NamedNumber {
  std::string_view name;
  std::int64_t value;
};

std::optional<std::int64_t> number_of(std::span<const NamedNumber> table, std::string_view name) {
  for (const NamedNumber& row : table)
    if (row.name == name) return row.value;
  return std::nullopt;
}

constexpr std::array<NamedNumber, 16> kRlimits = {{
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_STACK", RLIMIT_STACK},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
}};

/// sched(7); SCHED_DEADLINE is not in glibc's header of every release.
constexpr std::array<NamedNumber, 7> kPolicies = {{
    {"SCHED_OTHER", 0},
    {"SCHED_FIFO", 1},
    {"SCHED_RR", 2},
    {"SCHED_BATCH", 3},
    {"SCHED_ISO", 4},
    {"SCHED_IDLE", 5},
    {"SCHED_DEADLINE", 6},
}};
constexpr std::array<NamedNumber, 7> kSchedulerFlags = {{
    {"SCHED_FLAG_RESET_ON_FORK", 0x01},
    {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},
    {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},
    {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40},
}};

/// ioprio_set(2).
constexpr std::array<NamedNumber, 3> kIoClasses = {
    {{"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}}};
constexpr int kIoClassShift = 13;

/// set_mempolicy(2).
constexpr std::array<NamedNumber, 7> kMemoryModes = {{{"MPOL_DEFAULT", 0},
                                                      {"MPOL_PREFERRED", 1},
                                                      {"MPOL_BIND", 2},
                                                      {"MPOL_INTERLEAVE", 3},
                                                      {"MPOL_LOCAL", 4},
                                                      {"MPOL_PREFERRED_MANY", 5},
                                                      {"MPOL_WEIGHTED_INTERLEAVE", 6}}};
constexpr std::array<NamedNumber, 3> kMemoryFlags = {{{"MPOL_F_NUMA_BALANCING", 1 << 13},
                                                      {"MPOL_F_RELATIVE_NODES", 1 << 14},
                                                      {"MPOL_F_STATIC_NODES", 1 << 15}}};

/// Capabilities as bits. What cannot be granted is left out and remembered: config.md, "Linux
/// Process", wants a warning for it and no failure.
class CapabilitySets {
 public:
  explicit CapabilitySets(std::uint64_t available) : available_(available) {}
  std::uint64_t read(const std::vector<std::string>& names) {
    std::uint64_t set = 0;
    for (const std::string& name : names) {
      const std::optional<int> number = sys::capability_from_name(name);
      const std::uint64_t bit = number ? std::uint64_t{1} << *number : 0;
      if ((bit & available_) == 0) left_out_.insert(name);
      set |= bit & available_;
    }
    return set;
  }
  void warn() const {
    if (left_out_.empty()) return;
    std::string names;
    for (const std::string& name : left_out_) names += " " + name;
    log::warning("process.capabilities: unknown or not available here, left out:" + names);
  }

 private:
  std::uint64_t available_;
  std::set<std::string> left_out_;
};

void plan_capabilities(const oci::Capabilities& wanted, std::uint64_t available,
                       sys::plan::Process& out) {
  CapabilitySets sets(available);
  out.bounding = sets.read(wanted.bounding);
  out.effective = sets.read(wanted.effective);
  out.inheritable = sets.read(wanted.inheritable);
  out.permitted = sets.read(wanted.permitted);
  out.ambient = sets.read(wanted.ambient);
  sets.warn();
  // capabilities(7): an ambient capability is one that is permitted and inheritable. What is asked
  // for beyond is left out, as runc does with a warning.
  const std::uint64_t possible = out.ambient & out.permitted & out.inheritable;
  if (possible != out.ambient)
    log::warning("process.capabilities.ambient: only what is permitted and inheritable is raised");
  out.ambient = possible;
}

Result<> plan_scheduler(const oci::Scheduler& wanted, sys::plan::Scheduler& out) {
  std::optional<std::int64_t> policy = number_of(kPolicies, wanted.policy);
  if (!policy || wanted.policy == "SCHED_ISO")
    return fail(Errc::Unsupported, "process.scheduler.policy: " + quote(wanted.policy));
  out.set = true;
  out.policy = static_cast<std::uint32_t>(*policy);
  out.nice = wanted.nice;
  out.priority = static_cast<std::uint32_t>(wanted.priority);
  out.runtime = wanted.runtime;
  out.deadline = wanted.deadline;
  out.period = wanted.period;
  for (const std::string& name : wanted.flags) {
    std::optional<std::int64_t> flag = number_of(kSchedulerFlags, name);
    if (!flag) return fail(Errc::Unsupported, "process.scheduler.flags: " + quote(name));
    out.flags |= static_cast<std::uint64_t>(*flag);
  }
  return {};
}

Result<> plan_io_priority(const oci::IoPriority& wanted, sys::plan::Process& out) {
  std::optional<std::int64_t> io_class = number_of(kIoClasses, wanted.io_class);
  if (!io_class)
    return fail(Errc::InvalidSpec, "process.ioPriority.class: " + quote(wanted.io_class));
  if (wanted.priority < 0 || wanted.priority > 7)
    return fail(Errc::InvalidSpec, "process.ioPriority.priority: not 0 to 7");
  out.io_priority = static_cast<std::int32_t>(*io_class << kIoClassShift) | wanted.priority;
  return {};
}

Result<> plan_linux(const oci::Linux& section, sys::plan::Process& out) {
  if (section.seccomp) {
    NX_TRY(SeccompFilter filter, compile_seccomp(*section.seccomp));
    out.seccomp = std::move(filter.program);
    out.seccomp_flags = filter.flags;
    if (!filter.unknown_syscalls.empty())
      log::debug("seccomp: system calls unknown here are left out: " +
                 join(filter.unknown_syscalls, " "));
  }
  if (section.personality) {
    if (!section.personality->flags.empty())
      return fail(Errc::Unsupported, "linux.personality.flags");
    if (section.personality->domain != "LINUX" && section.personality->domain != "LINUX32")
      return fail(Errc::InvalidSpec,
                  "linux.personality.domain: " + quote(section.personality->domain));
    out.personality = section.personality->domain == "LINUX32" ? PER_LINUX32 : PER_LINUX;
  }
  if (!section.memory_policy) return {};
  std::optional<std::int64_t> mode = number_of(kMemoryModes, section.memory_policy->mode);
  if (!mode)
    return fail(Errc::InvalidSpec,
                "linux.memoryPolicy.mode: " + quote(section.memory_policy->mode));
  out.memory_policy = static_cast<std::uint32_t>(*mode);
  for (const std::string& name : section.memory_policy->flags) {
    std::optional<std::int64_t> flag = number_of(kMemoryFlags, name);
    if (!flag) return fail(Errc::InvalidSpec, "linux.memoryPolicy.flags: " + quote(name));
    out.memory_policy |= static_cast<std::uint32_t>(*flag);
  }
  NX_TRY(out.memory_nodes,
         bit_mask(section.memory_policy->nodes, 1024, "linux.memoryPolicy.nodes"));
  return {};
}

Result<> plan_label(const oci::Process& process, const HostFacts& facts, sys::plan::Process& out) {
  if (!process.apparmor_profile.empty()) {
    if (!facts.apparmor)
      return fail(Errc::Unsupported,
                  "process.apparmorProfile: AppArmor is not enabled in this kernel");
    out.label_file = "attr/apparmor/exec";
    out.label = "exec " + process.apparmor_profile;
  }
  if (process.selinux_label.empty()) return {};
  if (!facts.selinux)
    return fail(Errc::Unsupported, "process.selinuxLabel: SELinux is not enabled in this kernel");
  if (!out.label.empty())
    return fail(Errc::InvalidConfig, "process: an AppArmor profile and a SELinux label");
  out.label_file = "attr/exec";
  out.label = process.selinux_label;
  return {};
}

}  // namespace

Result<std::string> bit_mask(std::string_view list, std::uint64_t limit, std::string_view field) {
  std::string mask;
  for (const std::string& part : split(list, ',')) {
    if (part.empty()) continue;
    const std::size_t dash = part.find('-');
    auto first = parse_u64(part.substr(0, dash));
    auto last = dash == std::string::npos ? first : parse_u64(part.substr(dash + 1));
    if (!first || !last || *first > *last || *last >= limit)
      return fail(Errc::InvalidSpec, std::string(field) + ": " + quote(list));
    mask.resize(std::max<std::size_t>(mask.size(), (*last / 64 + 1) * 8), '\0');
    for (std::uint64_t number = *first; number <= *last; ++number)
      mask[number / 8] = static_cast<char>(mask[number / 8] | (1 << (number % 8)));
  }
  return mask;
}

Result<sys::plan::Process> plan_process(const ProcessContext& context, const HostFacts& facts) {
  const oci::Process& process = context.process;
  if (process.args.empty()) return fail(Errc::InvalidSpec, "/process/args: must not be empty");
  sys::plan::Process out;
  out.args = process.args;
  out.env = process.env;
  out.cwd = process.cwd;
  out.uid = process.user.uid;
  out.gid = process.user.gid;
  out.groups.assign(process.user.additional_gids.begin(), process.user.additional_gids.end());
  out.umask = process.user.umask.value_or(022);
  out.no_new_privileges = process.no_new_privileges;
  out.terminal = process.terminal;
  out.preserve_fds = static_cast<std::uint32_t>(context.preserve_fds);
  const bool user_namespace = context.linux_section != nullptr &&
                              context.linux_section->find(oci::NamespaceType::user) != nullptr;
  plan_capabilities(process.capabilities.value_or(oci::Capabilities{}),
                    user_namespace ? ~std::uint64_t{0} : facts.capabilities, out);
  if (process.scheduler) NX_CHECK(plan_scheduler(*process.scheduler, out.scheduler));
  if (process.io_priority) NX_CHECK(plan_io_priority(*process.io_priority, out));
  NX_CHECK(plan_label(process, facts, out));
  if (context.linux_section != nullptr) NX_CHECK(plan_linux(*context.linux_section, out));
  return out;
}

Result<std::vector<ResourceLimit>> plan_limits(const oci::Process& process) {
  std::vector<ResourceLimit> out;
  for (const oci::Rlimit& limit : process.rlimits) {
    std::optional<std::int64_t> resource = number_of(kRlimits, limit.type);
    if (!resource)
      return fail(Errc::InvalidSpec, "process.rlimits: unknown type " + quote(limit.type));
    out.push_back(
        {.resource = static_cast<int>(*resource), .soft = limit.soft, .hard = limit.hard});
  }
  return out;
}

sys::plan::RunHooks plan_hooks(HookPoint point, const std::vector<oci::Hook>& hooks,
                               oci::State state) {
  state.pid = 0;
  const std::string text = json::dump(oci::to_json(state));
  // Inside a JSON string the quotes would be escaped, so this finds the member and nothing else.
  constexpr std::string_view kPid = "\"pid\":0";
  const std::size_t at = text.find(kPid) + kPid.size() - 1;
  sys::plan::RunHooks out;
  out.point = hook_point_name(point);
  out.state_before_pid = text.substr(0, at);
  out.state_after_pid = text.substr(at + 1);
  for (const oci::Hook& hook : hooks)
    out.hooks.push_back({.path = hook.path,
                         .args = hook.args.empty() ? std::vector{hook.path} : hook.args,
                         .env = hook.env,
                         .timeout = static_cast<std::uint32_t>(hook.timeout.value_or(0))});
  return out;
}

}  // namespace nexcage::backends::lxc
