// A layer's change onto the stack's tree, and as a layer for overlayfs.
#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "nexcage/layerfs/tree/apply.h"

namespace nexcage::layerfs::tree {
namespace {

constexpr InodeId kNowhere = LayerChange::kNowhere;

bool is_opaque(const LayerChange& change, InodeId directory) {
  return (change.marks[directory] & LayerChange::kOpaque) != 0;
}

/// Carries the entries of a change over, directory by directory.
class Merger {
 public:
  Merger(Tree& tree, const LayerChange& change)
      : tree_(tree), change_(change), merged_(change.tree.inode_limit(), kNowhere) {}

  void run() {
    if (change_.applied.root_entry)
      tree_.set_metadata(Tree::kRoot, change_.tree.inode(Tree::kRoot));
    if (is_opaque(change_, Tree::kRoot)) tree_.clear(Tree::kRoot);
    pending_.push_back({.from = Tree::kRoot, .to = Tree::kRoot, .is_new = false});
    while (!pending_.empty()) {
      const Pair directory = pending_.back();
      pending_.pop_back();
      for (EntryId id = change_.tree.first_entry(directory.from); id != kNoEntry;
           id = change_.tree.next_entry(id))
        add(directory, change_.tree.entry(id));
    }
  }

 private:
  struct Pair {
    InodeId from = 0, to = 0;
    bool is_new = false;  // nothing is there yet
  };

  void add(const Pair& in, const Entry& entry) {
    const EntryId there = in.is_new ? kNoEntry : tree_.find_entry(in.to, entry.name);
    if (entry.inode == change_.whiteout) {
      if (there != kNoEntry) tree_.remove(there);
    } else if (change_.tree.is_directory(entry.inode)) {
      add_directory(in, entry, there);
    } else {
      add_file(in, entry, there);
    }
  }

  void add_directory(const Pair& in, const Entry& entry, EntryId there) {
    const Inode like = change_.tree.inode(entry.inode);
    if (there != kNoEntry && tree_.is_directory(tree_.entry(there).inode)) {
      const InodeId to = tree_.entry(there).inode;
      tree_.set_metadata(to, like);
      if (is_opaque(change_, entry.inode)) tree_.clear(to);
      pending_.push_back({.from = entry.inode, .to = to, .is_new = false});
      return;
    }
    if (there != kNoEntry) tree_.remove(there);
    const InodeId to = tree_.add(in.to, entry.name, like, Tree::Bytes::adopted);
    pending_.push_back({.from = entry.inode, .to = to, .is_new = true});
  }

  void add_file(const Pair& in, const Entry& entry, EntryId there) {
    const InodeId stands_for = change_.below[entry.inode];
    InodeId& to = merged_[entry.inode];
    if (stands_for != kNowhere) to = stands_for;
    if (there != kNoEntry) {
      if (to != kNowhere && tree_.entry(there).inode == to) return;
      tree_.remove(there);
    }
    // What stands for a file below is another name of it, even when it has lost all it had.
    if (to == kNowhere)
      to = tree_.add(in.to, entry.name, change_.tree.inode(entry.inode), Tree::Bytes::adopted);
    else
      tree_.link(in.to, entry.name, to, Tree::Bytes::adopted);
  }

  Tree& tree_;
  const LayerChange& change_;
  std::vector<InodeId> merged_;  // by inode of the change
  std::vector<Pair> pending_;
};

/// Copies a change with what overlayfs must see of it.
class OverlayForm {
 public:
  OverlayForm(const Tree& below, const LayerChange& change)
      : below_(below), change_(change), copied_(change.tree.inode_limit(), kNowhere) {}

  Tree run() && {
    tree_.set_metadata(Tree::kRoot, change_.applied.root_entry ? change_.tree.inode(Tree::kRoot)
                                                               : below_.inode(Tree::kRoot));
    copied_[Tree::kRoot] = Tree::kRoot;
    pending_.push_back(Tree::kRoot);
    while (!pending_.empty()) {
      const InodeId from = pending_.back();
      pending_.pop_back();
      for (EntryId id = change_.tree.first_entry(from); id != kNoEntry;
           id = change_.tree.next_entry(id))
        add(from, change_.tree.entry(id));
    }
    return std::move(tree_);
  }

 private:
  void add(InodeId from, const Entry& entry) {
    // A whiteout of nothing would be listed by overlayfs where no directory below is merged.
    if (entry.inode == change_.whiteout && !hides_something(from, entry)) return;
    InodeId& to = copied_[entry.inode];
    if (to != kNowhere) {
      tree_.link(copied_[from], entry.name, to);
      return;
    }
    Inode like = change_.tree.inode(entry.inode);
    std::vector<Xattr> marked;
    const bool is_directory = like.type == Type::directory;
    if (is_directory && is_opaque(change_, entry.inode) && change_.below[entry.inode] != kNowhere) {
      marked = with_mark(like.xattrs);
      like.xattrs = marked;
    }
    to = tree_.add(copied_[from], entry.name, like);
    if (is_directory) pending_.push_back(entry.inode);
  }

  bool hides_something(InodeId directory, const Entry& whiteout) const {
    const InodeId lower = change_.below[directory];
    return lower != kNowhere && below_.find(lower, whiteout.name).has_value();
  }

  static std::vector<Xattr> with_mark(std::span<const Xattr> xattrs) {
    // An image cannot have one of this name itself.
    std::vector<Xattr> marked(xattrs.begin(), xattrs.end());
    const Xattr mark{.name = "trusted.overlay.opaque", .value = "y"};
    marked.insert(std::ranges::upper_bound(marked, mark.name, {}, &Xattr::name), mark);
    return marked;
  }

  const Tree& below_;
  const LayerChange& change_;
  Tree tree_;
  std::vector<InodeId> copied_;  // by inode of the change
  std::vector<InodeId> pending_;
};

}  // namespace

void merge(Tree& tree, LayerChange&& change) {
  if (tree.first_entry(Tree::kRoot) == kNoEntry) {
    // Over nothing the change is the tree; only whiteouts have no place there.
    for (const EntryId whiteout : change.whiteouts)
      if (change.tree.is_there(whiteout)) change.tree.remove(whiteout);
    if (!change.applied.root_entry) change.tree.set_metadata(Tree::kRoot, tree.inode(Tree::kRoot));
    tree = std::move(change.tree);
    return;
  }
  Merger(tree, change).run();
  tree.adopt_strings(std::move(change.tree));
}

Tree overlay_form(const Tree& below, const LayerChange& change) {
  return OverlayForm(below, change).run();
}

}  // namespace nexcage::layerfs::tree
