// The directory tree of one layer while it is being filled, as it lies over the layers below.
//
// All access goes through descriptors of directories inside the layer's root; a symlink met on the
// way is resolved by hand against the merged tree, so no path ever reaches the host's own tree.
// What a member needs from below (a parent directory without a member of its own, a symlinked
// parent, the target of a hard link) is copied into the layer and makes it not self-contained.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/metadata.h"
#include "nexcage/layerfs/tree/limits.h"
#include "nexcage/layerfs/unpack/lower_view.h"

namespace nexcage::layerfs::unpack {

using tree::UnpackLimits;

/// A directory of the layer, open.
struct Directory {
  UniqueFd fd;             // O_PATH
  std::string path;        // relative to the root, free of symlinks; "" is the root
  bool sees_lower = true;  // false when it or a parent hides all that is below
};
using DirectoryPtr = std::shared_ptr<const Directory>;

/// Why a parent directory is resolved. `fill`: a member goes into it, so what is missing is
/// created. `borrow`: only a whiteout, or a look for a hard link's target: a directory is copied
/// from below, but none is made up.
enum class Purpose : std::uint8_t { fill, borrow };

class LayerTree {
 public:
  /// Takes the empty directory `target` and the view of what is below it.
  static Result<LayerTree> open(const std::string& target, LowerView lower,
                                const UnpackLimits& limits);

  /// The directory with these components, symlinks followed inside the root. nullptr when there is
  /// none and `purpose` is borrow. InvalidImage when a component is no
  /// directory (fill only) or a symlink loops.
  Result<DirectoryPtr> resolve(const std::vector<std::string>& components, Purpose purpose);

  /// A member for a directory: created, or, when it is there, given this metadata. What else had
  /// the name is replaced.
  Result<> put_directory(const Directory& parent, const std::string& name, Metadata metadata);
  /// The member for the root itself.
  Result<> put_root(Metadata metadata);
  /// Takes away what this layer has under the name; nothing is fine.
  Result<> remove(const Directory& parent, const std::string& name);
  /// A whiteout: hides what is below under this name, keeps what this layer has.
  Result<> hide(const Directory& parent, const std::string& name);
  /// An opaque whiteout: hides all that is below in this directory.
  Result<> hide_all(const Directory& directory);
  /// Makes sure this layer itself has the file: what a hard link needs. Copied from below with all
  /// metadata when only a lower layer has it. InvalidImage when there is none or it is a directory.
  Result<> bring_up(const Directory& parent, const std::string& name);

  /// Counts one more file of the layer.
  Result<> count_file();
  /// Counts data written.
  Result<> count_bytes(std::uint64_t bytes);

  /// Gives every directory its metadata and marks: last, so that filling does not change them.
  Result<> finish();

  bool self_contained() const { return self_contained_; }
  bool has_root_entry() const { return root_entry_; }
  bool root_opaque() const { return records_.at("").opaque; }
  std::uint64_t files() const { return files_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  /// What is remembered of a directory that this layer has.
  struct Record {
    Metadata metadata;
    bool opaque = false;
    bool has_whiteouts = false;
  };

  LayerTree(UniqueFd root, LowerView lower, const UnpackLimits& limits);

  Result<DirectoryPtr> step(const Directory& at, const std::string& name, Purpose purpose,
                            int& links);
  Result<DirectoryPtr> step_over_file(const Directory& at, const std::string& name, Purpose purpose,
                                      int& links);
  Result<DirectoryPtr> step_below(const Directory& at, const std::string& name, Purpose purpose,
                                  int& links);
  Result<DirectoryPtr> follow(const Directory& at, const std::string& target, Purpose purpose,
                              int& links);
  Result<DirectoryPtr> create(const Directory& at, const std::string& name, Record record);
  Result<DirectoryPtr> enter(const Directory& at, const std::string& name, UniqueFd fd);
  Result<DirectoryPtr> open_path(const std::string& path);
  Result<> hide_below(const std::string& path);
  Result<> make_whiteout(const Directory& parent, const std::string& name);
  Result<> copy_up(const LowerView::Found& found, const Directory& parent, const std::string& name);
  bool link_to_copy(int copy, const Directory& parent, const std::string& name) const;
  Result<> remember(const std::string& path, Record record);
  /// A member goes into this directory: it and its parents are borrowed no longer.
  void own(std::string path);
  void forget(const std::string& path);
  void forget_chain();
  Result<> finish_directory(const std::string& path, const Record& record);

  UniqueFd root_;
  LowerView lower_;
  UnpackLimits limits_;
  std::map<std::string, Record> records_;  // by path
  // Paths of this layer that no member made: directories copied from below for whiteouts and hard
  // links, files copied for hard links. A whiteout removes them, a member makes them the layer's
  // own.
  std::set<std::string> borrowed_;
  // Copies of lower files that have several names below: further ones are linked, not copied.
  std::map<std::pair<dev_t, ino_t>, UniqueFd> copies_;
  // The directories along the last resolved path: members come in the order of the tree, so the
  // next parent usually shares most of it. chain_[i] is what the first i names lead to.
  std::vector<std::string> chain_names_;
  std::vector<DirectoryPtr> chain_;
  bool met_borrowed_ = false;  // the path being resolved leads through a borrowed directory
  bool self_contained_ = true;
  bool root_entry_ = false;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t directory_memory_ = 0;
};

}  // namespace nexcage::layerfs::unpack
