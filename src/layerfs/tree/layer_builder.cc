#include "nexcage/layerfs/tree/layer_builder.h"

#include <algorithm>
#include <climits>
#include <string>
#include <utility>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/tree/names.h"

namespace nexcage::layerfs::tree {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel's own MAXSYMLINKS

Inode whiteout() { return {.type = Type::char_device}; }

}  // namespace

LayerBuilder::LayerBuilder(const Tree& below, const UnpackLimits& limits)
    : below_(below), limits_(limits) {
  change_.marks = {LayerChange::kSeesBelow};
  change_.below = {Tree::kRoot};
}

Result<InodeId> LayerBuilder::resolve(std::string_view path, Purpose purpose) {
  if (last_ != kNowhere && path == last_path_) return last_;
  InodeId at = Tree::kRoot;
  int links = 0;
  bool is_direct = true;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    const auto found = change_.tree.find(at, name);
    if (found && tree().is_directory(*found)) {
      at = *found;
    } else {
      NX_TRY(const InodeId next, step(at, name, purpose, links));
      if (next == kNowhere) return kNowhere;
      // Where a symlink leads is not remembered.
      is_direct = is_direct && tree().find(at, name) == next;
      at = next;
    }
    begin = end + 1;
  }
  if (purpose == Purpose::fill) {
    own(at);
    last_path_ = path;
    last_ = is_direct ? at : kNowhere;
  }
  return at;
}

Result<InodeId> LayerBuilder::step(InodeId at, std::string_view name, Purpose purpose, int& links) {
  const EntryId entry = tree().find_entry(at, name);
  if (entry == kNoEntry) return step_below(at, name, purpose, links);
  const InodeId found = tree().entry(entry).inode;
  if (tree().is_directory(found)) return found;
  const Inode file = tree().inode(found);
  if (file.type == Type::symlink) return follow(at, file.link_target, purpose, links);
  if (purpose == Purpose::borrow) return kNowhere;
  if (!is_whiteout(found))
    return fail(Errc::InvalidImage,
                quote(join_path(tree().path(at), name)) + " is used as a directory but is none");
  remove(entry);
  return create(at, name, kImplicitDirectory, LayerChange::kOpaque);
}

Result<InodeId> LayerBuilder::step_below(InodeId at, std::string_view name, Purpose purpose,
                                         int& links) {
  if (has_mark(at, LayerChange::kSeesBelow)) {
    change_.applied.self_contained = false;
    const InodeId lower = change_.below[at];
    const auto found = lower == kNowhere ? std::nullopt : below_.find(lower, name);
    if (found) {
      const Inode file = below_.inode(*found);
      if (file.type == Type::directory) return create(at, name, file, LayerChange::kBorrowed);
      if (file.type == Type::symlink) return follow(at, file.link_target, purpose, links);
      if (purpose == Purpose::borrow) return kNowhere;
      return fail(Errc::InvalidImage,
                  quote(join_path(tree().path(at), name)) + " is used as a directory but is none");
    }
  }
  if (purpose == Purpose::borrow) return kNowhere;
  return create(at, name, kImplicitDirectory, 0);
}

Result<InodeId> LayerBuilder::follow(InodeId at, std::string_view target, Purpose purpose,
                                     int& links) {
  if (++links > kMaxLinks)
    return fail(Errc::InvalidImage,
                "too many symlinks on the way through " + quote(tree().path(at)));
  InodeId here = target.starts_with('/') ? Tree::kRoot : at;
  // Names that lead nowhere are made at the end only: in "missing/../there" nothing is missing.
  std::vector<std::string_view> missing;
  for (std::size_t begin = 0; begin < target.size();) {
    const std::size_t end = std::min(target.find('/', begin), target.size());
    const std::string_view name = target.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (missing.empty())
        here = tree().parent(here);
      else
        missing.pop_back();
      continue;
    }
    InodeId next = kNowhere;
    if (missing.empty()) {
      NX_TRY(next, step(here, name, Purpose::borrow, links));
    }
    if (next == kNowhere)
      missing.push_back(name);
    else
      here = next;
  }
  if (purpose == Purpose::borrow) return missing.empty() ? here : kNowhere;
  for (const std::string_view name : missing) {
    NX_TRY(here, step(here, name, purpose, links));
  }
  return here;
}

Result<InodeId> LayerBuilder::create(InodeId at, std::string_view name, const Inode& like,
                                     std::uint8_t marks) {
  const std::size_t before = tree().path_length(at);
  if (before + (before == 0 ? 0 : 1) + name.size() >= PATH_MAX)
    return fail(Errc::InvalidImage, "a directory's path is longer than 4095 bytes");
  if (name.size() > NAME_MAX)
    return fail(Errc::InvalidImage, "path component longer than 255 bytes: " + quote(name));
  const bool parent_sees = has_mark(at, LayerChange::kSeesBelow);
  const InodeId lower = parent_sees ? change_.below[at] : kNowhere;
  NX_TRY(const InodeId made, add(at, name, like));
  if (lower != kNowhere)
    if (const auto found = below_.find(lower, name); found && below_.is_directory(*found))
      change_.below[made] = *found;
  change_.marks[made] = marks;
  // What is not borrowed never lies in what is.
  if ((marks & LayerChange::kBorrowed) == 0) own(at);
  if (parent_sees && (marks & LayerChange::kOpaque) == 0)
    change_.marks[made] |= LayerChange::kSeesBelow;
  return made;
}

Result<InodeId> LayerBuilder::add(InodeId at, std::string_view name, const Inode& like) {
  NX_CHECK(count_file());
  const InodeId made = change_.tree.add(at, name, like);
  change_.marks.push_back(0);
  change_.below.push_back(kNowhere);
  return made;
}

Result<> LayerBuilder::count_file() {
  if (++change_.applied.entries > limits_.max_files)
    return fail(Errc::InvalidImage,
                "more than " + std::to_string(limits_.max_files) + " files in one layer");
  if (tree().memory() > limits_.max_tree_memory)
    return fail(Errc::InvalidImage, "the files of one layer need more than " +
                                        format_bytes(limits_.max_tree_memory) + " of memory");
  return {};
}

void LayerBuilder::own(InodeId directory) {
  while (has_mark(directory, LayerChange::kBorrowed)) {
    change_.marks[directory] &= static_cast<std::uint8_t>(~LayerChange::kBorrowed);
    directory = tree().parent(directory);
  }
}

void LayerBuilder::remove(EntryId entry) {
  change_.tree.remove(entry);
  last_ = kNowhere;
}

void LayerBuilder::put_root(const Inode& like) {
  change_.applied.root_entry = true;
  change_.tree.set_metadata(Tree::kRoot, like);
}

Result<> LayerBuilder::put_directory(InodeId parent, std::string_view name, const Inode& like) {
  const EntryId entry = tree().find_entry(parent, name);
  std::uint8_t marks = 0;
  if (entry != kNoEntry) {
    const InodeId there = tree().entry(entry).inode;
    if (tree().is_directory(there)) {
      own(there);
      change_.tree.set_metadata(there, like);
      return {};
    }
    // The file (or whiteout) hid what is below; the directory that takes its place still does.
    remove(entry);
    marks = LayerChange::kOpaque;
  }
  NX_CHECK(create(parent, name, like, marks));
  return {};
}

Result<> LayerBuilder::put_file(InodeId parent, std::string_view name, const Inode& like) {
  if (const EntryId entry = tree().find_entry(parent, name); entry != kNoEntry) remove(entry);
  NX_CHECK(add(parent, name, like));
  return {};
}

Result<> LayerBuilder::put_link(InodeId parent, std::string_view name, InodeId file) {
  const EntryId entry = tree().find_entry(parent, name);
  NX_CHECK(count_file());
  if (entry != kNoEntry) remove(entry);
  change_.tree.link(parent, name, file);
  return {};
}

Result<> LayerBuilder::hide(InodeId parent, std::string_view name) {
  if (const EntryId entry = tree().find_entry(parent, name); entry != kNoEntry) {
    const InodeId there = tree().entry(entry).inode;
    if (is_whiteout(there)) return {};
    if (tree().is_directory(there)) {
      if (!has_mark(there, LayerChange::kBorrowed)) {
        close(there);
        return {};
      }
    } else if (!borrowed_files_.contains(entry)) {
      return {};
    }
    remove(entry);
  }
  if (!has_mark(parent, LayerChange::kSeesBelow)) return {};
  if (change_.whiteout == kNowhere) {
    NX_TRY(change_.whiteout, add(parent, name, whiteout()));
  } else {
    NX_CHECK(count_file());
    change_.tree.link(parent, name, change_.whiteout);
  }
  change_.whiteouts.push_back(tree().first_entry(parent));
  return {};
}

void LayerBuilder::hide_all(InodeId directory) {
  if (directory == Tree::kRoot) change_.applied.root_opaque = true;
  close(directory);
}

void LayerBuilder::close(InodeId directory) {
  change_.marks[directory] |= LayerChange::kOpaque;
  if (!has_mark(directory, LayerChange::kSeesBelow)) return;
  // Each directory is closed once, so all calls together look at each entry once.
  std::vector<InodeId> open = {directory};
  while (!open.empty()) {
    const InodeId at = open.back();
    open.pop_back();
    change_.marks[at] &= static_cast<std::uint8_t>(~LayerChange::kSeesBelow);
    for (EntryId entry = tree().first_entry(at); entry != kNoEntry;) {
      const EntryId next = tree().next_entry(entry);
      const InodeId inode = tree().entry(entry).inode;
      if (!tree().is_directory(inode)) {
        if (is_whiteout(inode) || borrowed_files_.contains(entry)) remove(entry);
      } else if (has_mark(inode, LayerChange::kBorrowed)) {
        remove(entry);
      } else if (has_mark(inode, LayerChange::kSeesBelow)) {
        open.push_back(inode);
      }
      entry = next;
    }
  }
}

Result<InodeId> LayerBuilder::bring_up(InodeId parent, std::string_view name) {
  const auto own = tree().find(parent, name);
  if (own && !tree().is_directory(*own) && !is_whiteout(*own)) return *own;
  const bool may_be_below = !own && has_mark(parent, LayerChange::kSeesBelow);
  if (may_be_below) change_.applied.self_contained = false;
  const InodeId lower = may_be_below ? change_.below[parent] : kNowhere;
  const auto found = lower == kNowhere ? std::nullopt : below_.find(lower, name);
  const bool is_directory =
      (own && tree().is_directory(*own)) || (found && below_.is_directory(*found));
  if (is_directory || !found) {
    const std::string path = quote(join_path(tree().path(parent), name));
    return is_directory
               ? fail(Errc::InvalidImage, "hard link to the directory " + path)
               : fail(Errc::InvalidImage, "hard link to " + path + ", which does not exist");
  }
  const auto [known, is_new] = brought_up_.try_emplace(*found, kNowhere);
  if (is_new) {
    NX_TRY(known->second, add(parent, name, below_.inode(*found)));
    change_.below[known->second] = *found;
  } else {
    change_.tree.link(parent, name, known->second);
  }
  borrowed_files_.insert(tree().first_entry(parent));
  return known->second;
}

bool LayerBuilder::holds(InodeId parent, std::string_view name, InodeId directory) const {
  const auto there = tree().find(parent, name);
  if (!there || !tree().is_directory(*there)) return false;
  for (; directory != Tree::kRoot; directory = tree().parent(directory))
    if (directory == *there) return true;
  return false;
}

}  // namespace nexcage::layerfs::tree
