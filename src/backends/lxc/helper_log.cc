#include "nexcage/backends/lxc/helper_log.h"

#include <fcntl.h>

#include <array>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::lxc {
namespace {

/// Logged at each start, whatever the configuration (liblxc 5.0).
constexpr std::array<std::string_view, 3> kHarmless = {
    "Failed to mount temporary procfs", "Unsupported config key", "Failed to destroy"};

bool harmless(std::string_view line) {
  for (std::string_view text : kHarmless)
    if (line.find(text) != std::string_view::npos) return true;
  return false;
}

}  // namespace

std::string first_error(std::string_view log) {
  for (const std::string& line : split(log, '\n')) {
    if (line.find(" ERROR ") == std::string::npos || harmless(line)) continue;
    // "lxc c 2024... ERROR cgfsng - ../src/lxc/cgroups/cgfsng.c:function:123 - text - more text"
    const std::size_t source = line.find(" - ");
    const std::size_t text = source == std::string::npos ? source : line.find(" - ", source + 3);
    if (text != std::string::npos) return line.substr(text + 3);
  }
  return "";
}

Error add_helper_log(Error error, const std::string& log_file) {
  auto log = sys::read_file(AT_FDCWD, log_file, 1u << 20);
  if (!log) return error;  // liblxc writes one only when something fails
  const std::string text = first_error(*log);
  if (text.empty()) return error;
  return std::move(error).wrap("liblxc: " + text);
}

}  // namespace nexcage::backends::lxc
