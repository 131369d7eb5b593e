// From members to trees: what one layer changes, and what the stack amounts to with it.
//
// Image-spec, layer.md, with umoci's strictness: a later member wins; whiteouts hide what lies
// below this layer and nothing of the layer itself, whatever the order; a parent without a member
// of its own is the one from below, or made up (kImplicitDirectory); symlinks among the parents are
// followed inside the root; a hard link is one more name for a file, of a lower layer as well.
#pragma once

#include <cstdint>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/tree/limits.h"
#include "nexcage/layerfs/tree/members.h"
#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::layerfs::tree {

/// What is said of a layer beside its tree; the terms are UnpackResult's.
struct Applied {
  bool self_contained = true;  // nothing of the layers below mattered
  bool root_entry = false;
  bool root_opaque = false;
  std::uint64_t bytes = 0;    // of file data, holes not counted
  std::uint64_t entries = 0;  // files, directories and whiteouts made
};

/// What one layer changes over the stack below it: its own files, the directories that lead to
/// them, whiteouts (character devices 0:0) and opaque directories.
struct LayerChange {
  static constexpr InodeId kNowhere = ~InodeId{0};
  enum Mark : std::uint8_t { kOpaque = 1, kSeesBelow = 2, kBorrowed = 4 };

  Tree tree;
  std::vector<std::uint8_t> marks;  // by inode of `tree`: Marks of directories
  /// By inode of `tree`: the directory at the same path in the tree below; of another file the one
  /// below that it stands for, since a hard link needed it here. kNowhere: none.
  std::vector<InodeId> below;
  InodeId whiteout = kNowhere;     // all whiteouts are names of this inode of `tree`
  std::vector<EntryId> whiteouts;  // some may be gone again
  Applied applied;
};

/// What the members change over `below`. Data lies in the tar of layer `source`. InvalidImage when
/// they cannot be applied (a file used as a directory, a hard link to nothing, symlinks in a
/// circle) or go over a limit; errors name the member.
Result<LayerChange> plan_layer(const Tree& below, const Members& members, std::uint32_t source,
                               const UnpackLimits& limits = {});

/// The layer as overlayfs wants to see it in a directory of its own, to be mounted over the ones
/// that `below` amounts to: whiteouts of what there is to hide, trusted.overlay.opaque where
/// something below must not shine through. The root is as the whole stack's. A file that the layer
/// gives another name to is there with all its data, whose source is a lower layer.
/// overlayfs always merges roots: with `root_opaque` the lower layers must not be mounted.
Tree overlay_form(const Tree& below, const LayerChange& change);

/// Makes `tree`, which `change` was planned over, the tree of the stack with this layer.
void merge(Tree& tree, LayerChange&& change);

/// plan_layer and merge. After an error `tree` is as before.
Result<Applied> apply(Tree& tree, const Members& members, std::uint32_t source,
                      const UnpackLimits& limits = {});

}  // namespace nexcage::layerfs::tree
