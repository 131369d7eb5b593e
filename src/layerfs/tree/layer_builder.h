// Builds a LayerChange: the tree of one layer while it is being filled, as it lies over the tree of
// the layers below. The steps are those of unpack/layer_tree.h, which does the same with
// directories on disk; a difference between the two is a bug in one of them.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/tree/apply.h"

namespace nexcage::layerfs::tree {

/// Why a parent directory is resolved. `fill`: a member goes into it, so what is missing is
/// created. `borrow`: only a whiteout, or a look for a hard link's target: a directory is taken
/// from below, but none is made up.
enum class Purpose : std::uint8_t { fill, borrow };

class LayerBuilder {
 public:
  static constexpr InodeId kNowhere = LayerChange::kNowhere;

  /// `below` outlives the builder.
  LayerBuilder(const Tree& below, const UnpackLimits& limits);

  /// The directory of this clean path, symlinks followed inside the root. kNowhere when there is
  /// none and `purpose` is borrow. InvalidImage when a component is no directory (fill only) or
  /// symlinks go round. `path` must live as long as the builder.
  Result<InodeId> resolve(std::string_view path, Purpose purpose);

  /// The member for the root itself.
  void put_root(const Inode& like);
  /// A member for a directory: created, or, when this layer has it, given this metadata. What else
  /// had the name is replaced.
  Result<> put_directory(InodeId parent, std::string_view name, const Inode& like);
  /// A member for anything else; replaces what this layer has under the name.
  Result<> put_file(InodeId parent, std::string_view name, const Inode& like);
  /// One more name for a file that `bring_up` gave.
  Result<> put_link(InodeId parent, std::string_view name, InodeId file);
  /// A whiteout: hides what is below under this name, keeps what this layer has.
  Result<> hide(InodeId parent, std::string_view name);
  /// An opaque whiteout: hides all that is below in this directory.
  void hide_all(InodeId directory);
  /// The file of this layer, or of one below, that has the name: what a hard link needs.
  /// InvalidImage when there is none or it is a directory.
  Result<InodeId> bring_up(InodeId parent, std::string_view name);
  /// True when `directory` is the one with this name or lies below it.
  bool holds(InodeId parent, std::string_view name, InodeId directory) const;

  const Tree& tree() const { return change_.tree; }
  LayerChange finish() && { return std::move(change_); }

 private:
  Result<InodeId> step(InodeId at, std::string_view name, Purpose purpose, int& links);
  Result<InodeId> step_below(InodeId at, std::string_view name, Purpose purpose, int& links);
  Result<InodeId> follow(InodeId at, std::string_view target, Purpose purpose, int& links);
  Result<InodeId> create(InodeId at, std::string_view name, const Inode& like, std::uint8_t marks);
  Result<InodeId> add(InodeId at, std::string_view name, const Inode& like);
  Result<> count_file();
  /// A member goes into this directory: it and its parents are borrowed no longer.
  void own(InodeId directory);
  void remove(EntryId entry);
  /// The directory stops seeing what is below; what was taken from there goes.
  void close(InodeId directory);
  bool is_whiteout(InodeId inode) const { return inode == change_.whiteout; }
  bool has_mark(InodeId directory, LayerChange::Mark mark) const {
    return (change_.marks[directory] & mark) != 0;
  }

  const Tree& below_;
  UnpackLimits limits_;
  LayerChange change_;
  std::unordered_set<EntryId> borrowed_files_;
  std::unordered_map<InodeId, InodeId> brought_up_;  // file below -> its stand-in
  // The last parent: members come in the order of the tree.
  std::string_view last_path_;
  InodeId last_ = kNowhere;
};

}  // namespace nexcage::layerfs::tree
