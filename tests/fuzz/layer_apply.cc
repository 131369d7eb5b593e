// Members of several layers, applied to a tree in memory: the tree stays consistent, is what a
// naive model makes of the same members, and is what overlayfs would make of the layers on their
// own.
#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness.h"
#include "layer_model.h"
#include "nexcage/layerfs/tree/apply.h"

namespace nexcage::fuzz {
namespace {

using image::content::TarEntry;
using image::content::TarType;
using layerfs::tree::Entry;
using layerfs::tree::InodeId;
using layerfs::tree::Tree;

constexpr std::size_t kMaxMembers = 400;

/// Bytes of the input as choices; zeros at the end.
class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  unsigned pick(unsigned below) {
    if (left_ == 0) return 0;
    --left_;
    return *data_++ % below;
  }
  bool ended() const { return left_ == 0; }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

std::string path_of(Choices& choices) {
  static constexpr std::array kNames = {"a", "b", "c", "d", "aa", "..", ".", ""};
  std::string path = choices.pick(4) == 0 ? "/" : "";
  for (unsigned count = 1 + choices.pick(4); count > 0; --count) {
    path += kNames[choices.pick(kNames.size())];
    if (count > 1) path += '/';
  }
  return path;
}

TarEntry member_of(Choices& choices, unsigned kind, std::uint64_t number) {
  static constexpr std::array kTypes = {
      TarType::regular,   TarType::directory, TarType::directory,   TarType::symlink,
      TarType::hard_link, TarType::fifo,      TarType::char_device, TarType::regular};
  TarEntry entry;
  entry.uid = number;
  entry.type = kTypes[kind % kTypes.size()];
  entry.name = path_of(choices);
  if (entry.type == TarType::symlink || entry.type == TarType::hard_link)
    entry.link_name = path_of(choices);
  // The tar reader gives no link without a target.
  if (entry.type == TarType::symlink && entry.link_name.empty()) entry.link_name = ".";
  entry.dev_major = entry.type == TarType::char_device ? 1 : 0;
  if (kind < 8) return entry;
  // Every second kind hides something.
  static constexpr std::array kHidden = {".wh.a", ".wh.b", ".wh.c",        ".wh.aa",
                                         ".wh.d", ".wh.d", ".wh..wh..opq", ".wh..wh.plnk"};
  entry.name += "/";
  entry.name += kHidden[choices.pick(kHidden.size())];
  return entry;
}

/// Counts of links are right, names are found, in order, and only once.
void check_consistent(const Tree& tree) {
  std::map<InodeId, std::uint32_t> names;
  std::vector<InodeId> open = {Tree::kRoot};
  while (!open.empty()) {
    const InodeId directory = open.back();
    open.pop_back();
    std::uint32_t links = 2;
    std::string_view before;
    for (const Entry& entry : tree.entries(directory)) {
      check(before < entry.name, "names are in order");
      before = entry.name;
      check(tree.find(directory, entry.name) == entry.inode, "a name that is listed is found");
      if (!tree.is_directory(entry.inode)) {
        ++names[entry.inode];
        continue;
      }
      ++links;
      check(tree.parent(entry.inode) == directory, "a directory knows its parent");
      check(tree.path_length(entry.inode) == tree.path(entry.inode).size(), "and its path");
      open.push_back(entry.inode);
    }
    check(tree.inode(directory).nlink == links, "a directory's links are counted");
  }
  for (const auto& [inode, count] : names)
    check(tree.inode(inode).nlink == count, "a file's names are counted");
}

/// The same names, types and files in both.
void check_same(const Tree& tree, const LayerModel& model) {
  std::map<InodeId, const LayerModel::Node*> files;
  std::map<const LayerModel::Node*, InodeId> ids;
  std::vector<std::pair<InodeId, const LayerModel::Node*>> open = {{Tree::kRoot, &model.root()}};
  while (!open.empty()) {
    const auto [id, node] = open.back();
    open.pop_back();
    const auto inode = tree.inode(id);
    check(inode.uid == node->uid, "it is the file of the same member");
    const bool is_directory = node->type == TarType::directory;
    check(tree.is_directory(id) == is_directory, "it is of the same type");
    if (!is_directory) {
      check(files.try_emplace(id, node).first->second == node, "what is linked is one file");
      check(ids.try_emplace(node, id).first->second == id, "what is one file is linked");
      check(inode.link_target == (node->type == TarType::symlink ? node->target : ""), "target");
      continue;
    }
    check(tree.entries(id).size() == node->names.size(), "a directory has the same names");
    for (const auto& [text, name] : node->names) {
      const auto found = tree.find(id, text);
      check(found.has_value(), "what the model has is there");
      open.emplace_back(*found, name.node.get());
    }
  }
}

/// "path uid type" of every file.
using Listing = std::map<std::string, std::pair<std::uint32_t, layerfs::tree::Type>>;

void list(const Tree& tree, InodeId directory, const std::string& prefix, Listing& listing) {
  for (const Entry& entry : tree.entries(directory)) {
    const std::string path = prefix + std::string(entry.name);
    const auto inode = tree.inode(entry.inode);
    listing[path] = {inode.uid, inode.type};
    if (tree.is_directory(entry.inode)) list(tree, entry.inode, path + "/", listing);
  }
}

/// One more layer over a listing, by the rules of overlayfs.
void lay_over(Listing& below, const Tree& layer, InodeId directory, const std::string& prefix) {
  for (const Entry& entry : layer.entries(directory)) {
    const std::string path = prefix + std::string(entry.name);
    const auto inode = layer.inode(entry.inode);
    const auto there = below.find(path);
    const bool is_directory = inode.type == layerfs::tree::Type::directory;
    const bool merges = is_directory && inode.xattrs.empty() && there != below.end() &&
                        there->second.second == inode.type;
    if (!merges)
      std::erase_if(below, [&](const auto& item) {
        return item.first == path || item.first.starts_with(path + "/");
      });
    const bool is_whiteout = inode.type == layerfs::tree::Type::char_device && inode.dev_major == 0;
    check(!is_whiteout || there != below.end() || !merges, "a whiteout hides something");
    if (!is_whiteout) below[path] = {inode.uid, inode.type};
    if (is_directory) lay_over(below, layer, entry.inode, path + "/");
  }
}

/// A stack that grows, three times over.
struct Stack {
  Tree tree;
  LayerModel model;
  Listing overlay;

  /// False when the layer is refused, by both.
  bool add(const std::vector<TarEntry>& entries) {
    layerfs::tree::Members members;
    bool is_good = true, all_taken = true;
    model.begin_layer();
    for (const TarEntry& entry : entries) {
      const bool is_member = members.add(entry).has_value();
      all_taken = all_taken && is_member;
      is_good = is_good && model.add(entry);
      if (is_good) check(is_member, "a good member is taken");
    }
    Listing before;
    list(tree, Tree::kRoot, "", before);
    auto change = layerfs::tree::plan_layer(tree, members, 0);
    if (!change) {
      check_message(change.error());
      check(change.error().code() == Errc::InvalidImage, "the code is InvalidImage");
    }
    if (!change || !is_good) {
      // A member that was not taken is not in the list either.
      check(!is_good, "what the model takes is taken");
      check(!all_taken || !change, "what the model refuses is refused");
      Listing after;
      list(tree, Tree::kRoot, "", after);
      check(before == after, "a refused layer changes nothing");
      return false;
    }
    check_consistent(change->tree);
    const Tree layer = overlay_form(tree, *change);
    check_consistent(layer);
    if (change->applied.root_opaque) overlay.clear();
    lay_over(overlay, layer, Tree::kRoot, "");
    layerfs::tree::merge(tree, std::move(*change));
    check_consistent(tree);
    check_same(tree, model);
    Listing merged;
    list(tree, Tree::kRoot, "", merged);
    check(merged == overlay, "overlayfs makes the same of the layers");
    return true;
  }
};

}  // namespace

NX_HARNESS(layer_apply) {
  Choices choices(data, size);
  Stack stack;
  std::vector<TarEntry> entries;
  for (std::size_t number = 1; number < kMaxMembers && !choices.ended(); ++number) {
    const unsigned kind = choices.pick(18);
    if (kind < 16) {
      entries.push_back(member_of(choices, kind, number));
    } else {
      if (!stack.add(entries)) return 0;
      entries.clear();
    }
  }
  (void)stack.add(entries);
  return 0;
}

}  // namespace nexcage::fuzz
