// /proc/PID/mountinfo as values (proc_pid_mountinfo(5)).
#include <fcntl.h>

#include <algorithm>
#include <optional>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::sys {
namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

/// Space, tab, newline and backslash come as \040 and so on.
std::string unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view code = text.substr(i + 1, 3);
    if (text[i] == '\\' && code.size() == 3 && is_octal(code[0]) && is_octal(code[1]) &&
        is_octal(code[2])) {
      out += static_cast<char>((code[0] - '0') * 64 + (code[1] - '0') * 8 + (code[2] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// "36 35 98:0 /root /mnt rw,noatime [optional fields] - ext4 /dev/vda rw".
std::optional<MountInfo> parse_line(std::string_view line) {
  const std::vector<std::string> fields = split(line, ' ');
  constexpr std::size_t kFirstOptional = 6;
  std::size_t dash = kFirstOptional;
  while (dash < fields.size() && fields[dash] != "-") ++dash;
  if (dash + 3 >= fields.size()) return std::nullopt;
  const auto id = parse_i64(fields[0]);
  const auto parent = parse_i64(fields[1]);
  if (!id || !parent) return std::nullopt;
  return MountInfo{static_cast<int>(*id),
                   static_cast<int>(*parent),
                   unescape(fields[3]),
                   unescape(fields[4]),
                   fields[5],
                   unescape(fields[dash + 1]),
                   unescape(fields[dash + 2]),
                   unescape(fields[dash + 3])};
}

}  // namespace

Result<std::vector<MountInfo>> parse_mountinfo(std::string_view text) {
  std::vector<MountInfo> mounts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    std::optional<MountInfo> mount = parse_line(line);
    if (!mount) return fail(Errc::FileError, "unexpected line of mountinfo: " + quote(line));
    mounts.push_back(*std::move(mount));
  }
  return mounts;
}

Result<std::vector<MountInfo>> read_mountinfo(const std::string& file) {
  NX_TRY(const std::string text, read_file(AT_FDCWD, file), "list mounts");
  NX_TRY(std::vector<MountInfo> mounts, parse_mountinfo(text), file);
  return mounts;
}

}  // namespace nexcage::sys
