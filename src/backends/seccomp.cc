#include "nexcage/backends/seccomp.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>

#include "nexcage/base/text.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends {
namespace {

struct Release {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

struct NamedValue {
  std::string_view name;
  std::uint32_t value;
};

constexpr std::array<NamedValue, 9> kActions = {{
    {"SCMP_ACT_KILL", SCMP_ACT_KILL},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
}};

constexpr std::array<NamedValue, 19> kArchitectures = {{
    {"SCMP_ARCH_NATIVE", SCMP_ARCH_NATIVE},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
}};

constexpr std::array<NamedValue, 7> kOperators = {{
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
}};

/// Flags of seccomp(2). WAIT_KILLABLE_RECV (Linux 5.19) only goes with a listener.
constexpr std::array<NamedValue, 4> kFlags = {{
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1u << 5},
}};

std::optional<std::uint32_t> value_of(std::span<const NamedValue> table, std::string_view name) {
  for (const NamedValue& row : table)
    if (row.name == name) return row.value;
  return std::nullopt;
}

std::vector<std::string> names_of(std::span<const NamedValue> table) {
  std::vector<std::string> names;
  for (const NamedValue& row : table) names.emplace_back(row.name);
  return names;
}

/// libseccomp answers with negative errno values.
std::unexpected<Error> refused(int result, std::string what) {
  return fail(Error::from_errno(Errc::InvalidSpec, -result, "linux.seccomp: " + std::move(what)));
}

Result<std::uint32_t> action(const std::string& name, std::optional<std::uint32_t> value) {
  std::optional<std::uint32_t> base = value_of(kActions, name);
  if (!base) return fail(Errc::InvalidSpec, "linux.seccomp: unknown action " + quote(name));
  // The value's place is the low half of the action (seccomp(2)); EPERM when none is given.
  if (name == "SCMP_ACT_ERRNO" || name == "SCMP_ACT_TRACE")
    return *base | (value.value_or(EPERM) & 0xffffu);
  return *base;
}

Result<std::vector<scmp_arg_cmp>> conditions(const oci::SeccompSyscall& rule) {
  std::vector<scmp_arg_cmp> out;
  for (const oci::SeccompArg& arg : rule.args) {
    std::optional<std::uint32_t> op = value_of(kOperators, arg.op);
    if (!op) return fail(Errc::InvalidSpec, "linux.seccomp: unknown operator " + quote(arg.op));
    scmp_arg_cmp condition{};
    condition.arg = arg.index;
    condition.op = static_cast<scmp_compare>(*op);
    condition.datum_a = arg.value;
    condition.datum_b = arg.value_two;
    out.push_back(condition);
  }
  return out;
}

bool repeats_an_argument(const std::vector<scmp_arg_cmp>& conditions) {
  std::map<unsigned, int> count;
  for (const scmp_arg_cmp& condition : conditions)
    if (++count[condition.arg] > 1) return true;
  return false;
}

Result<> add_rule(void* context, std::uint32_t act, int syscall, const std::string& name,
                  std::span<const scmp_arg_cmp> conditions) {
  int result = ::seccomp_rule_add_array(
      context, act, syscall, static_cast<unsigned>(conditions.size()), conditions.data());
  // EDOM: this system call has no such form on one of the architectures.
  if (result < 0 && result != -EDOM && result != -EEXIST)
    return refused(result, "rule for " + name);
  return {};
}

Result<> add_syscall(void* context, const oci::SeccompSyscall& rule, const std::string& name,
                     std::uint32_t act) {
  const int number = ::seccomp_syscall_resolve_name(name.c_str());
  NX_TRY(auto all, conditions(rule));
  // libseccomp takes one condition for each argument; several on one are alternatives (as runc
  // reads the spec), that is, a rule each.
  if (!repeats_an_argument(all)) return add_rule(context, act, number, name, all);
  for (const scmp_arg_cmp& condition : all)
    NX_CHECK(add_rule(context, act, number, name, std::span(&condition, 1)));
  return {};
}

Result<> add_architectures(void* context, const oci::Seccomp& seccomp) {
  for (const std::string& name : seccomp.architectures) {
    std::optional<std::uint32_t> arch = value_of(kArchitectures, name);
    if (!arch) return fail(Errc::Unsupported, "linux.seccomp: unknown architecture " + quote(name));
    int result = ::seccomp_arch_add(context, *arch);
    if (result < 0 && result != -EEXIST) return refused(result, "architecture " + name);
  }
  return {};
}

Result<std::string> export_program(void* context) {
  UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return fail_errno("memfd for the seccomp filter");
  int result = ::seccomp_export_bpf(context, file.get());
  if (result < 0) return refused(result, "compile the filter");
  if (::lseek(file.get(), 0, SEEK_SET) < 0) return fail_errno("rewind the seccomp filter");
  return sys::read_all(file.get());
}

/// Whether the kernel is asked for a descriptor of notifications. It needs somebody who answers: a
/// process whose every call waits for one would not even start.
Result<bool> wants_listener(const oci::Seccomp& seccomp) {
  if (seccomp.default_action == "SCMP_ACT_NOTIFY")
    return fail(Errc::InvalidSpec, "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be it");
  const bool notifies = std::ranges::any_of(seccomp.syscalls, [](const oci::SeccompSyscall& rule) {
    return rule.action == "SCMP_ACT_NOTIFY";
  });
  if (notifies && seccomp.listener_path.empty())
    return fail(Errc::InvalidSpec, "linux.seccomp: SCMP_ACT_NOTIFY without listenerPath");
  return notifies;
}

/// A filter without SCMP_ACT_NOTIFY has no listener, whatever listenerPath says (runc, crun).
Result<std::uint32_t> filter_flags(const oci::Seccomp& seccomp) {
  NX_TRY(const bool listener, wants_listener(seccomp));
  std::uint32_t flags = listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0u;
  for (const std::string& name : seccomp.flags) {
    std::optional<std::uint32_t> flag = value_of(kFlags, name);
    if (!flag) return fail(Errc::Unsupported, "linux.seccomp.flags: " + quote(name));
    flags |= *flag;
  }
  // The process has one thread of its own when it loads the filter, and the kernel takes the two
  // not together (seccomp(2)).
  if (listener) flags &= ~std::uint32_t{SECCOMP_FILTER_FLAG_TSYNC};
  return flags;
}

}  // namespace

Result<SeccompFilter> compile_seccomp(const oci::Seccomp& seccomp) {
  SeccompFilter filter;
  NX_TRY(filter.flags, filter_flags(seccomp));
  NX_TRY(const std::uint32_t standard, action(seccomp.default_action, seccomp.default_errno_ret));
  Context context(::seccomp_init(standard));
  if (!context)
    return fail(Errc::InvalidSpec, "linux.seccomp: default action " + seccomp.default_action);
  NX_CHECK(add_architectures(context.get(), seccomp));
  for (const oci::SeccompSyscall& rule : seccomp.syscalls) {
    NX_TRY(const std::uint32_t act, action(rule.action, rule.errno_ret));
    if (act == standard) continue;  // says nothing new, and libseccomp refuses it
    for (const std::string& name : rule.names) {
      if (::seccomp_syscall_resolve_name(name.c_str()) == __NR_SCMP_ERROR)
        filter.unknown_syscalls.push_back(name);
      else
        NX_CHECK(add_syscall(context.get(), rule, name, act));
    }
  }
  NX_TRY(filter.program, export_program(context.get()));
  return filter;
}

std::vector<std::string> seccomp_actions() { return names_of(kActions); }
std::vector<std::string> seccomp_architectures() { return names_of(kArchitectures); }

}  // namespace nexcage::backends
