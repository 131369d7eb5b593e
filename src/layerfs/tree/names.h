// Names of archive members as paths inside a root: text only, no disk.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::layerfs::tree {

/// Where a member belongs: the components of its parent directory and its own name. Both empty for
/// the root itself.
struct EntryName {
  std::vector<std::string> parent;
  std::string base;
  bool is_root() const { return base.empty(); }
  /// "a/b"; "" for the root.
  std::string path() const;
};

/// The components of a path without empty ones and "."; ".." stays.
std::vector<std::string> components(std::string_view path);

/// Cleans a member's name the way umoci does: "/etc/x", "./etc//x" and "a/../etc/x" are etc/x, and
/// ".." never climbs above the root. InvalidImage for a component longer than 255 bytes or a path
/// longer than 4096.
Result<EntryName> parse_entry_name(std::string_view name);

/// What the last component says when it begins with ".wh." (image-spec, layer.md "Whiteouts").
struct Whiteout {
  enum class Kind { none, name, opaque, ignored };
  Kind kind = Kind::none;
  std::string name;  // what is hidden, for Kind::name
};
/// `ignored` are AUFS' own files (".wh..wh.plnk"), which no unpacker creates. InvalidImage for a
/// whiteout of nothing, of "." or of "..".
Result<Whiteout> parse_whiteout(std::string_view base);

/// "a/b" + "c" -> "a/b/c"; "" + "c" -> "c".
std::string join_path(std::string_view directory, std::string_view name);
/// "a/b/c" -> "a/b"; "a" and "" -> "".
std::string parent_path(std::string_view path);

}  // namespace nexcage::layerfs::tree
