// A tree in memory in the words of tree_compare.h: what read_tree must find wherever it was
// written.
#pragma once

#include <cstdio>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nexcage/layerfs/tree/tree.h"
#include "tree_compare.h"

namespace nexcage::testing {

/// The bytes of a file, from the texts of the tars.
inline std::string file_data(const layerfs::tree::Inode& inode, std::span<const std::string> tars) {
  std::string data(inode.size, '\0');
  for (const layerfs::tree::Extent& extent : inode.extents)
    data.replace(extent.offset, extent.length, tars[extent.source], extent.source_offset,
                 extent.length);
  return data;
}

inline TreeFields fields_of(const layerfs::tree::Inode& inode, std::span<const std::string> tars) {
  using layerfs::tree::Type;
  static constexpr unsigned kTypes[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO};
  TreeFields fields;
  char text[64];
  (void)std::snprintf(text, sizeof text, "%o", kTypes[static_cast<int>(inode.type)] | inode.mode);
  fields["mode"] = text;
  fields["owner"] = std::to_string(inode.uid) + ":" + std::to_string(inode.gid);
  (void)std::snprintf(text, sizeof text, "%lld.%09u", static_cast<long long>(inode.mtime),
                      inode.mtime_ns);
  fields["mtime"] = text;
  fields["nlink"] = std::to_string(inode.nlink);
  std::string& xattrs = fields["xattrs"];
  for (const layerfs::tree::Xattr& xattr : inode.xattrs)
    xattrs += std::string(xattr.name) + "=" + std::string(xattr.value) + ";";
  if (inode.type == Type::regular) {
    fields["size"] = std::to_string(inode.size);
    fields["content"] = std::to_string(hash_more(kHashStart, file_data(inode, tars)));
  } else if (inode.type == Type::symlink) {
    fields["target"] = inode.link_target;
  } else if (inode.type == Type::char_device || inode.type == Type::block_device) {
    fields["device"] = std::to_string(inode.dev_major) + ":" + std::to_string(inode.dev_minor);
  }
  return fields;
}

/// The whole tree; `tars` are the texts of the layers its extents refer to.
inline Tree describe_tree(const layerfs::tree::Tree& tree, std::span<const std::string> tars) {
  using layerfs::tree::InodeId;
  Tree result;
  std::map<InodeId, std::vector<std::string>> links;
  result["."] = fields_of(tree.inode(layerfs::tree::Tree::kRoot), tars);
  std::vector<std::pair<InodeId, std::string>> open = {{layerfs::tree::Tree::kRoot, ""}};
  while (!open.empty()) {
    const auto [directory, prefix] = open.back();
    open.pop_back();
    for (const layerfs::tree::Entry& entry : tree.entries(directory)) {
      const std::string path = prefix + std::string(entry.name);
      result[path] = fields_of(tree.inode(entry.inode), tars);
      if (tree.is_directory(entry.inode))
        open.emplace_back(entry.inode, path + "/");
      else
        links[entry.inode].push_back(path);
    }
  }
  for (const auto& [inode, paths] : links) set_links(result, paths);
  return result;
}

}  // namespace nexcage::testing
