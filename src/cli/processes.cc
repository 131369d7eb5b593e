#include "nexcage/cli/processes.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

// Fields of /proc/PID/stat counted from the state, the first one after "(comm) ".
constexpr std::size_t kParent = 1;
constexpr std::size_t kTty = 4;
constexpr std::size_t kUserTime = 11;
constexpr std::size_t kSystemTime = 12;
constexpr std::size_t kStart = 19;

std::string clock_text(std::uint64_t seconds) {
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "%02llu:%02llu:%02llu",
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

/// As procps shows a start: the shortest form that still tells it from others.
std::string start_text(std::int64_t started, std::int64_t now) {
  const auto start = static_cast<std::time_t>(started);
  const auto present = static_cast<std::time_t>(now);
  std::tm then{}, today{};
  (void)::localtime_r(&start, &then);
  (void)::localtime_r(&present, &today);
  const char* format = then.tm_year != today.tm_year   ? "%Y"
                       : then.tm_yday != today.tm_yday ? "%b%d"
                                                       : "%H:%M";
  std::array<char, 16> text{};
  (void)std::strftime(text.data(), text.size(), format, &then);
  return text.data();
}

}  // namespace

ProcessClock read_process_clock() {
  ProcessClock clock;
  clock.ticks = ::sysconf(_SC_CLK_TCK);
  clock.now = std::time(nullptr);
  constexpr std::string_view kBooted = "btime ";
  if (const auto stat = sys::read_file(AT_FDCWD, "/proc/stat"))
    for (const std::string& line : split(*stat, '\n'))
      if (line.starts_with(kBooted))
        clock.booted = parse_i64(std::string_view(line).substr(kBooted.size())).value_or(0);
  return clock;
}

std::optional<ProcessRow> parse_stat_row(std::string_view stat, const ProcessClock& clock) {
  // The name may hold anything, ") " included: the last parenthesis ends it.
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == stat.npos || close == stat.npos || close < open) return std::nullopt;
  const std::vector<std::string> fields = split(trim(stat.substr(close + 1)), ' ');
  if (fields.size() <= kStart) return std::nullopt;
  const auto parent = parse_u64(fields[kParent]);
  const auto tty = parse_i64(fields[kTty]);
  const auto user = parse_u64(fields[kUserTime]);
  const auto system = parse_u64(fields[kSystemTime]);
  const auto start = parse_u64(fields[kStart]);
  if (!parent || !tty || !user || !system || !start) return std::nullopt;
  ProcessRow row;
  row.parent = static_cast<pid_t>(*parent);
  row.tty = tty_name(static_cast<std::uint64_t>(*tty));
  const auto ticks = static_cast<std::uint64_t>(clock.ticks);
  const std::uint64_t used = (*user + *system) / ticks;
  const auto started = clock.booted + static_cast<std::int64_t>(*start / ticks);
  row.time = clock_text(used);
  row.started = start_text(started, clock.now);
  if (clock.now > started)
    row.percent = static_cast<int>(used * 100 / static_cast<std::uint64_t>(clock.now - started));
  row.command = "[" + std::string(stat.substr(open + 1, close - open - 1)) + "]";
  return row;
}

std::optional<ProcessRow> read_process_row(pid_t pid, const ProcessClock& clock) {
  const std::string directory = "/proc/" + std::to_string(pid);
  const auto proc = sys::open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!proc) return std::nullopt;
  const auto info = sys::stat_fd(proc->get());
  const auto stat = sys::read_file(proc->get(), "stat");
  if (!info || !stat) return std::nullopt;
  auto row = parse_stat_row(*stat, clock);
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

Result<std::string> filter_ps(std::string_view output, const std::vector<pid_t>& pids) {
  const auto words_of = [](const std::string& line) {
    std::vector<std::string> words = split(line, ' ');
    std::erase(words, "");
    return words;
  };
  const std::vector<std::string> lines = split(output, '\n');
  const std::vector<std::string> heading = words_of(lines.front());
  const auto column = std::ranges::find(heading, "PID") - heading.begin();
  if (column == std::ssize(heading))
    return fail(Errc::InvalidSpec, "the output of ps has no column PID");
  std::string text = lines.front() + "\n";
  for (const std::string& line : std::span(lines).subspan(1)) {
    const std::vector<std::string> words = words_of(line);
    if (std::ssize(words) <= column) continue;
    const auto pid = parse_i64(words[static_cast<std::size_t>(column)]);
    if (pid && std::ranges::find(pids, static_cast<pid_t>(*pid)) != pids.end()) text += line + "\n";
  }
  return text;
}

}  // namespace nexcage::cli
