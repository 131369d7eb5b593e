#include "nexcage/pve/upid.h"

#include "nexcage/base/text.h"

namespace nexcage::pve {

namespace {

constexpr std::size_t kParts = 9;  // "UPID", seven fields, and what stands behind the last colon
constexpr std::string_view kWarnings = "WARNINGS: ";

bool is_hex(std::string_view text, std::size_t least, std::size_t most) {
  return text.size() >= least && text.size() <= most &&
         text.find_first_not_of("0123456789ABCDEFabcdef") == std::string_view::npos;
}

}  // namespace

Result<Upid> Upid::parse(std::string_view text) {
  const auto parts = split(text, ':');
  const bool good = parts.size() == kParts && parts[0] == "UPID" && !parts[1].empty() &&
                    is_hex(parts[2], 8, 8) && is_hex(parts[3], 8, 9) && is_hex(parts[4], 8, 8) &&
                    !parts[5].empty() && !parts[7].empty() && parts[8].empty();
  if (!good) return fail(Errc::ProxmoxError, quote(text) + " is no name of a task");
  return Upid{std::string(text), parts[1], parts[5], parts[6], parts[7]};
}

TaskEnd parse_task_end(std::string_view exit_status) {
  TaskEnd end{.text = std::string(exit_status)};
  end.ok = exit_status == "OK";
  if (!exit_status.starts_with(kWarnings)) return end;
  const auto count = parse_u64(exit_status.substr(kWarnings.size()));
  if (!count || *count > 1'000'000) return end;
  end.ok = true;
  end.warnings = static_cast<unsigned>(*count);
  return end;
}

}  // namespace nexcage::pve
