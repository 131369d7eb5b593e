// Compares two trees of layers (layerfs/tree) whose file data lies in different places.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::testing {

/// Fills `to` with what a source has at `offset`.
using ReadSource =
    std::function<void(std::uint32_t source, std::uint64_t offset, std::span<char> to)>;

/// A tree and where its data is.
struct TreeData {
  const layerfs::tree::Tree& tree;
  ReadSource read;
};

/// Bytes of a file, holes as zeros.
inline std::string file_bytes(const layerfs::tree::Inode& file, const ReadSource& read,
                              std::uint64_t offset, std::uint64_t length) {
  std::string bytes(length, '\0');
  auto extent = std::ranges::upper_bound(file.extents, offset, {}, &layerfs::tree::Extent::offset);
  if (extent != file.extents.begin()) --extent;
  for (; extent != file.extents.end() && extent->offset < offset + length; ++extent) {
    const std::uint64_t from = std::max(offset, extent->offset);
    const std::uint64_t to = std::min(offset + length, extent->offset + extent->length);
    if (from < to)
      read(extent->source, extent->source_offset + (from - extent->offset),
           std::span(bytes).subspan(from - offset, to - from));
  }
  return bytes;
}

/// "" when both files have the same bytes. Only where either has data is looked.
inline std::string compare_data(const layerfs::tree::Inode& a, const ReadSource& read_a,
                                const layerfs::tree::Inode& b, const ReadSource& read_b) {
  constexpr std::uint64_t kStep = 1 << 16;
  for (const auto* file : {&a, &b})
    for (const layerfs::tree::Extent& extent : file->extents)
      for (std::uint64_t at = 0; at < extent.length; at += kStep) {
        const std::uint64_t offset = extent.offset + at;
        const std::uint64_t length = std::min(kStep, extent.length - at);
        if (file_bytes(a, read_a, offset, length) != file_bytes(b, read_b, offset, length))
          return "data at " + std::to_string(offset) + " differs";
      }
  return {};
}

inline std::string compare_inodes(const layerfs::tree::Inode& a, const layerfs::tree::Inode& b) {
  if (a.type != b.type) return "type differs";
  if (a.mode != b.mode) return "mode differs";
  if (a.uid != b.uid || a.gid != b.gid) return "owner differs";
  if (a.nlink != b.nlink)
    return "link count is " + std::to_string(b.nlink) + ", expected " + std::to_string(a.nlink);
  if (a.mtime != b.mtime || a.mtime_ns != b.mtime_ns) return "time differs";
  if (a.size != b.size) return "size differs";
  if (a.dev_major != b.dev_major || a.dev_minor != b.dev_minor) return "device differs";
  if (a.link_target != b.link_target) return "link target differs";
  if (!std::ranges::equal(a.xattrs, b.xattrs)) return "extended attributes differ";
  return {};
}

/// "" when the trees are the same, else the path and the first difference.
inline std::string compare_layer_trees(const TreeData& a, const TreeData& b) {
  using layerfs::tree::InodeId;
  using layerfs::tree::Tree;
  std::map<InodeId, InodeId> same;  // files seen: of a to of b
  std::vector<std::tuple<InodeId, InodeId, std::string>> open = {{Tree::kRoot, Tree::kRoot, ""}};
  while (!open.empty()) {
    const auto [in_a, in_b, path] = open.back();
    open.pop_back();
    const auto [seen, is_new] = same.emplace(in_a, in_b);
    if (seen->second != in_b) return path + ": hard links differ";
    if (!is_new) continue;
    const auto inode_a = a.tree.inode(in_a), inode_b = b.tree.inode(in_b);
    std::string difference = compare_inodes(inode_a, inode_b);
    if (difference.empty()) difference = compare_data(inode_a, a.read, inode_b, b.read);
    if (!difference.empty()) return path + ": " + difference;
    if (inode_a.type != layerfs::tree::Type::directory) continue;
    const auto entries_a = a.tree.entries(in_a), entries_b = b.tree.entries(in_b);
    if (!std::ranges::equal(entries_a, entries_b, {}, &layerfs::tree::Entry::name,
                            &layerfs::tree::Entry::name))
      return path + ": entries differ";
    for (std::size_t i = 0; i < entries_a.size(); ++i)
      open.emplace_back(entries_a[i].inode, entries_b[i].inode,
                        path + "/" + std::string(entries_a[i].name));
  }
  return {};
}

}  // namespace nexcage::testing
