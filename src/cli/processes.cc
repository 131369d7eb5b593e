#include "nexcage/cli/processes.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

// Fields of /proc/PID/stat counted from the state, the first one after "(comm) ".
constexpr std::size_t kParent = 1;
constexpr std::size_t kTty = 4;
constexpr std::size_t kUserTime = 11;
constexpr std::size_t kSystemTime = 12;

std::string clock_text(std::uint64_t seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%02llu:%02llu:%02llu",
                static_cast<unsigned long long>(seconds / 3600),
                static_cast<unsigned long long>(seconds / 60 % 60),
                static_cast<unsigned long long>(seconds % 60));
  return text.data();
}

std::string tty_name(std::uint64_t device) {
  constexpr unsigned kFirstPts = 136;  // majors 136 to 143, Documentation/admin-guide/devices.txt
  constexpr unsigned kLastPts = 143;
  if (device == 0) return "?";
  const unsigned number = ::major(device);
  if (number >= kFirstPts && number <= kLastPts)
    return "pts/" + std::to_string((number - kFirstPts) * 256 + ::minor(device));
  return "tty" + std::to_string(::minor(device));
}

}  // namespace

std::optional<ProcessRow> parse_stat_row(std::string_view stat, long ticks) {
  // The name may hold anything, ") " included: the last parenthesis ends it.
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == stat.npos || close == stat.npos || close < open) return std::nullopt;
  const std::vector<std::string> fields = split(trim(stat.substr(close + 1)), ' ');
  if (fields.size() <= kSystemTime) return std::nullopt;
  const auto parent = parse_u64(fields[kParent]);
  const auto tty = parse_i64(fields[kTty]);
  const auto user = parse_u64(fields[kUserTime]);
  const auto system = parse_u64(fields[kSystemTime]);
  if (!parent || !tty || !user || !system) return std::nullopt;
  ProcessRow row;
  row.parent = static_cast<pid_t>(*parent);
  row.tty = tty_name(static_cast<std::uint64_t>(*tty));
  row.time = clock_text((*user + *system) / static_cast<std::uint64_t>(ticks));
  row.command = "[" + std::string(stat.substr(open + 1, close - open - 1)) + "]";
  return row;
}

std::optional<ProcessRow> read_process_row(pid_t pid) {
  const std::string directory = "/proc/" + std::to_string(pid);
  const auto proc = sys::open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!proc) return std::nullopt;
  const auto info = sys::stat_fd(proc->get());
  const auto stat = sys::read_file(proc->get(), "stat");
  if (!info || !stat) return std::nullopt;
  auto row = parse_stat_row(*stat, ::sysconf(_SC_CLK_TCK));
  if (!row) return std::nullopt;
  row->uid = info->st_uid;
  row->pid = pid;
  if (auto arguments = sys::read_file(proc->get(), "cmdline"); arguments && !arguments->empty()) {
    if (arguments->back() == '\0') arguments->pop_back();
    for (char& c : *arguments)
      if (c == '\0') c = ' ';
    row->command = *std::move(arguments);
  }
  return row;
}

}  // namespace nexcage::cli
