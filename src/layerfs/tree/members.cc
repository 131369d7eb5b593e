#include "nexcage/layerfs/tree/members.h"

#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <string>
#include <utility>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/tree/member_metadata.h"
#include "nexcage/layerfs/tree/names.h"

namespace nexcage::layerfs::tree {
namespace {

using image::content::TarEntry;
using image::content::TarSegment;
using image::content::TarType;

// Linux knows no other mode of symlinks (symlink(7)), whatever the archive says.
constexpr std::uint16_t kSymlinkMode = 0777;

/// A name as nearly all archives have it is cleaned by cutting its ends: nothing is copied. False
/// when there is more to do, or something to refuse.
bool clean_ends(std::string_view& name) {
  if (name.size() > PATH_MAX) return false;
  while (name.starts_with("./") || name.starts_with('/'))
    name.remove_prefix(name.front() == '/' ? 1 : 2);
  while (name.ends_with('/')) name.remove_suffix(1);
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > NAME_MAX) return false;
    begin = end + 1;
  }
  return true;
}

/// The clean form of a name, in the arena; "" for the root.
Result<std::string_view> clean_name(std::string_view name, Arena& arena) {
  if (clean_ends(name)) return arena.copy(name);
  NX_TRY(const EntryName parsed, parse_entry_name(name));
  return arena.copy(parsed.path());
}

bool is_whiteout(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return name.substr(slash == std::string_view::npos ? 0 : slash + 1).starts_with(".wh.");
}

}  // namespace

Result<> Members::add(const TarEntry& entry) {
  NX_CHECK(check_and_add(entry), "member " + quote(entry.name));
  return {};
}

Result<> Members::check_and_add(const TarEntry& entry) {
  Member member{.type = entry.type};
  NX_TRY(member.name, clean_name(entry.name, arena_));
  if (member.name.empty() && entry.type != TarType::directory)
    return fail(Errc::InvalidImage, "the root can only be a directory");
  if (is_whiteout(member.name)) {
    // Only its name counts.
  } else if (entry.type == TarType::hard_link) {
    NX_TRY(member.target, clean_name(entry.link_name, arena_), "hard link");
    if (member.target.empty()) return fail(Errc::InvalidImage, "hard link to the root directory");
  } else {
    NX_CHECK(set_metadata(entry, member));
  }
  members_.push_back(member);
  if (memory() > limits_.max_tree_memory)
    return fail(Errc::InvalidImage, "the members of one layer need more than " +
                                        format_bytes(limits_.max_tree_memory) + " of memory");
  return {};
}

Result<> Members::set_metadata(const TarEntry& entry, Member& member) {
  NX_CHECK(check_target(entry));
  NX_CHECK(check_device(entry));
  NX_TRY(const Metadata metadata, metadata_of(entry));
  member.mode = static_cast<std::uint16_t>(metadata.mode);
  member.uid = metadata.uid;
  member.gid = metadata.gid;
  member.mtime = metadata.mtime.tv_sec;
  member.mtime_ns = static_cast<std::uint32_t>(metadata.mtime.tv_nsec);
  if (!metadata.xattrs.empty()) {
    std::vector<Xattr> set;
    set.reserve(metadata.xattrs.size());
    for (const auto& [name, value] : metadata.xattrs) set.push_back({.name = name, .value = value});
    member.xattrs = sets_.add(set, arena_);
  }
  if (entry.type == TarType::regular) {
    member.size = entry.size;
    member.data_offset = entry.data_offset;
    member.sparse = entry.sparse;
    member.segments = arena_.copy(std::span<const TarSegment>(entry.segments));
  } else if (entry.type == TarType::symlink) {
    member.target = arena_.copy(entry.link_name);
    member.mode = kSymlinkMode;
  } else if (entry.type == TarType::char_device || entry.type == TarType::block_device) {
    member.dev_major = static_cast<std::uint32_t>(entry.dev_major);
    member.dev_minor = static_cast<std::uint32_t>(entry.dev_minor);
  }
  return {};
}

Result<Members> read_members(image::content::TarReader& reader, const UnpackLimits& limits) {
  Members members(limits);
  while (true) {
    NX_TRY(const auto entry, reader.next());
    if (!entry) return members;
    NX_CHECK(members.add(*entry));
  }
}

}  // namespace nexcage::layerfs::tree
