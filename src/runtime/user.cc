// A user as images and people write it, looked up in the container's own account files.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>

#include "nexcage/base/text.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

// What a container may make us read: account files larger than this are refused, not parsed.
constexpr std::size_t kMaxAccountFile = 4U << 20;

/// Fields of the lines of an account file; damaged lines are skipped as getpwent(3) does.
struct Line {
  std::vector<std::string> fields;
};

Result<std::vector<Line>> read_account_file(int root, const std::string& path,
                                            std::size_t min_fields) {
  auto fd = sys::open_in_root(root, path, O_RDONLY | O_NONBLOCK);
  if (!fd) {
    if (fd.error().sys_errno() == ENOENT) return std::vector<Line>{};
    return std::unexpected(std::move(fd).error());
  }
  NX_TRY(auto stat, sys::stat_fd(fd->get()));
  if (!S_ISREG(stat.st_mode)) return fail(Errc::InvalidRootfs, path + " is no regular file");
  NX_TRY(std::string text, sys::read_all(fd->get(), kMaxAccountFile), "read " + path);
  std::vector<Line> lines;
  for (const std::string& row : split(text, '\n')) {
    auto fields = split(row, ':');
    if (fields.size() >= min_fields) lines.push_back({std::move(fields)});
  }
  return lines;
}

/// A numeric id: 64-bit parse, so that nothing wraps to 0 (CVE-2024-40635); 2^32-1 is "no id".
std::optional<std::uint32_t> numeric_id(const std::string& text) {
  const auto number = parse_u64(text);
  if (!number || *number >= std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

bool looks_numeric(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

struct Account {
  std::string name;
  std::uint32_t uid = 0, gid = 0;
};

std::optional<Account> find_account(const std::vector<Line>& passwd, const std::string& wanted) {
  for (const Line& line : passwd) {
    const auto uid = numeric_id(line.fields[2]);
    const auto gid = numeric_id(line.fields[3]);
    if (!uid || !gid) continue;
    if (line.fields[0] == wanted || line.fields[2] == wanted)
      return Account{line.fields[0], *uid, *gid};
  }
  return std::nullopt;
}

Result<std::uint32_t> find_group(const std::vector<Line>& group, const std::string& wanted) {
  for (const Line& line : group) {
    const auto gid = numeric_id(line.fields[2]);
    if (gid && line.fields[0] == wanted) return *gid;
  }
  if (looks_numeric(wanted))
    if (auto gid = numeric_id(wanted)) return *gid;
  return fail(Errc::InvalidSpec, "no group " + quote(wanted) + " in the container's /etc/group");
}

std::vector<gid_t> groups_of(const std::vector<Line>& group, const std::string& name) {
  std::vector<gid_t> gids;
  for (const Line& line : group) {
    if (line.fields.size() < 4) continue;
    const auto members = split(line.fields[3], ',');
    const auto gid = numeric_id(line.fields[2]);
    if (gid && std::ranges::find(members, name) != members.end()) gids.push_back(*gid);
  }
  return gids;
}

}  // namespace

Result<oci::User> resolve_user(const std::string& rootfs, const std::string& text) {
  oci::User user;
  if (text.empty()) return user;
  const auto colon = text.find(':');
  const std::string who = text.substr(0, colon);
  const std::string group_text = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (who.empty() || (colon != std::string::npos && group_text.empty()) ||
      group_text.find(':') != std::string::npos)
    return fail(Errc::InvalidSpec, "user " + quote(text) + " is not of the form user[:group]");

  NX_TRY(UniqueFd root, sys::open_at(AT_FDCWD, rootfs, O_PATH | O_DIRECTORY));
  NX_TRY(auto passwd, read_account_file(root.get(), "etc/passwd", 4), "look up " + quote(who));
  NX_TRY(auto group, read_account_file(root.get(), "etc/group", 3), "look up " + quote(text));
  if (auto account = find_account(passwd, who)) {
    user.uid = account->uid;
    user.gid = account->gid;
    // As Docker and Podman do: an explicit group replaces the account's groups.
    if (group_text.empty()) user.additional_gids = groups_of(group, account->name);
  } else if (looks_numeric(who) && numeric_id(who)) {
    user.uid = *numeric_id(who);
  } else {
    return fail(
        Error(Errc::InvalidSpec, "no user " + quote(who) + " in the container's /etc/passwd")
            .hint("give a numeric uid, or a name that the image has"));
  }
  if (!group_text.empty()) {
    NX_TRY(user.gid, find_group(group, group_text));
  }
  return user;
}

}  // namespace nexcage::runtime
