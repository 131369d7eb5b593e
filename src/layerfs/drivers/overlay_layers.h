// Prepared layers of the overlay driver on disk.
//
//   {root}/overlay/{key}/fs          the layer's tree, with overlayfs' whiteouts and marks
//                       /done.json   what is known of it; there only when the tree is complete
//                       /lock        taken by whoever fills it; of no meaning afterwards
//   {root}/overlay/.tmp/{name}       layers being filled, layers being removed
//   {root}/overlay/.lock             shared: layers are made and mounted; exclusive: collected
//
// A key is "d-" and the hex digits of the diff ID for a layer that took nothing from those below,
// so that every image with these bytes shares it, else "c-" and those of the chain ID.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::overlay {

/// What done.json says.
struct LayerInfo {
  std::string key;
  UnpackResult content;
};

/// Key that `layer` has when its content is this.
std::string key_of(const Layer& layer, const UnpackResult& content);
/// Keys the layer can have.
std::vector<std::string> possible_keys(const Layer& layer);
/// A name that this driver gives to prepared layers.
bool is_key(std::string_view name);

/// The directory of all prepared layers.
class LayerStore {
 public:
  /// Creates {root}/overlay (0700: no user of the host may reach an image's set-id programs).
  static Result<LayerStore> open(const std::string& root);

  int fd() const { return root_.get(); }
  /// The path of a prepared layer's tree.
  std::string tree_path(const std::string& key) const;

  /// The layer if it is prepared.
  Result<std::optional<LayerInfo>> find(const Layer& layer) const;
  /// done.json of this key; LayerError with a hint when it is missing or damaged.
  Result<LayerInfo> info(const std::string& key) const;
  Result<std::vector<std::string>> keys() const;

  /// The lock on the whole store. Timeout with a hint.
  Result<sys::FileLock> lock(sys::FileLock::Kind kind) const;

  /// Removes what dead processes left in .tmp.
  Result<> remove_stale() const;
  /// Moves a prepared layer out of sight, at once; remove_stale then deletes it.
  Result<> discard(const std::string& key) const;

  /// Makes what was written durable: one syncfs(2) whatever the number of layers.
  Result<> sync() const;

 private:
  friend class WorkDirectory;
  LayerStore(std::string path, UniqueFd root, UniqueFd tmp);
  std::string path_;
  UniqueFd root_;
  UniqueFd tmp_;
};

/// A layer being filled, held by this process alone; removed with all in it unless published.
class WorkDirectory {
 public:
  /// Waits for another process that fills the same layer (a message after a second).
  static Result<WorkDirectory> claim(const LayerStore& store, const Layer& layer);
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  WorkDirectory(WorkDirectory&&) noexcept;
  WorkDirectory& operator=(WorkDirectory&&) = delete;
  ~WorkDirectory();

  /// The empty directory to fill.
  std::string tree_path() const;
  /// Writes done.json.
  Result<> complete(const LayerInfo& info) const;
  /// Gives the directory its key: from here on it is a prepared layer. The store must have been
  /// synced since complete(), and its directory is to be synced after. When another process has
  /// published the same key, this copy goes.
  Result<> publish(const std::string& key) &&;

 private:
  WorkDirectory(const LayerStore& store, std::string name, UniqueFd dir, sys::FileLock lock);
  const LayerStore* store_;
  std::string name_;
  UniqueFd dir_;
  sys::FileLock lock_;
};

}  // namespace nexcage::layerfs::overlay
