#include "nexcage/sys/caps.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::sys {
namespace {

/// linux/capability.h; the position is the number.
constexpr std::array<std::string_view, 41> kNames = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

/// "CapEff:\t000001fffeffffff" of proc_pid_status(5).
std::optional<CapSet> status_field(std::string_view status, std::string_view key) {
  for (std::size_t at = 0; (at = status.find(key, at)) != std::string_view::npos; ++at) {
    if (at != 0 && status[at - 1] != '\n') continue;
    const std::size_t start = at + key.size();
    const std::string_view digits = trim(status.substr(start, status.find('\n', start) - start));
    CapSet value = 0;
    const auto [end, code] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (code != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int> capability_from_name(std::string_view name) {
  std::string wanted = to_lower(name);
  if (!wanted.starts_with("cap_")) wanted.insert(0, "cap_");
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (to_lower(kNames[i]) == wanted) return static_cast<int>(i);
  return std::nullopt;
}

std::string_view capability_name(int number) {
  if (number < 0 || number >= capability_count()) return "";
  return kNames[static_cast<std::size_t>(number)];
}

int capability_count() { return static_cast<int>(kNames.size()); }

Result<CapSets> parse_capabilities(std::string_view status) {
  struct Field {
    std::string_view key;
    CapSet CapSets::* member;
  };
  static constexpr std::array<Field, 5> kFields = {{{"CapBnd:", &CapSets::bounding},
                                                    {"CapEff:", &CapSets::effective},
                                                    {"CapInh:", &CapSets::inheritable},
                                                    {"CapPrm:", &CapSets::permitted},
                                                    {"CapAmb:", &CapSets::ambient}}};
  CapSets sets;
  for (const Field& field : kFields) {
    const std::optional<CapSet> value = status_field(status, field.key);
    if (!value) return fail(Errc::FileError, "no " + std::string(field.key) + " in process status");
    sets.*field.member = *value;
  }
  return sets;
}

Result<CapSets> own_capabilities() {
  NX_TRY(const std::string status, read_file(AT_FDCWD, "/proc/self/status"), "read capabilities");
  return parse_capabilities(status);
}

Result<> keep_capabilities(CapSet keep) {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    // EPERM: a process without CAP_SETPCAP has few capabilities to lose anyway.
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM)
      return fail_errno("drop a capability from the bounding set");
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    return fail_errno("clear ambient capabilities");

  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return fail_errno("read capabilities");
  for (std::size_t i = 0; i < sets.size(); ++i) {
    auto part = static_cast<std::uint32_t>(keep >> (32 * i));
    sets[i].permitted &= part;
    sets[i].effective = sets[i].permitted;
    sets[i].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return fail_errno("give up capabilities");
  return {};
}

}  // namespace nexcage::sys
