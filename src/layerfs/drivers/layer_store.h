// What a driver has prepared, on disk; the same for every driver.
//
//   {root}/{driver}/{key}/...         one prepared thing: a layer's tree, its tar, an index
//                        /done.json   what is known of it; there only when it is complete
//                        /lock        taken by whoever fills it; of no meaning afterwards
//   {root}/{driver}/.tmp/{name}       things being filled, things being removed
//   {root}/{driver}/.lock             shared: things are made and mounted; exclusive: collected
//   {root}/{driver}/.refs             mount_refs.h
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/json/value.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs {

/// The directory of what one driver has prepared.
class LayerStore {
 public:
  /// Creates {root}/{driver} (0700: no user of the host may reach an image's set-id programs).
  /// `records` keeps what was read of done.json files; it may be shared by all drivers.
  static Result<LayerStore> open(const std::string& root, std::string_view driver,
                                 std::shared_ptr<RecordCache> records = nullptr);

  int fd() const { return root_.get(); }
  const std::string& path() const { return path_; }

  /// done.json of this key; nullopt when nothing of this key is prepared. LayerError with a hint
  /// when it is missing or damaged.
  Result<std::optional<json::Value>> find(const std::string& key) const;
  /// `error` as one of this key's, with the hint to remove what is damaged.
  Error damaged(const std::string& key, Error error) const;
  /// Sorted.
  Result<std::vector<std::string>> keys() const;

  /// The lock on the whole store. Timeout with a hint.
  Result<sys::FileLock> lock(sys::FileLock::Kind kind) const;

  /// Undoes what a dead process made outside of its directory (borrowed), before that goes.
  using BeforeRemoval = std::function<Result<>(int dir, const std::string& path)>;
  /// Removes what dead processes left in .tmp.
  Result<> remove_stale(const BeforeRemoval& before = nullptr) const;
  /// Moves a prepared thing out of sight, at once; remove_stale then deletes it.
  Result<> discard(const std::string& key) const;

  /// Makes what was written durable: one syncfs(2) whatever the number of files.
  Result<> sync() const;

 private:
  friend class WorkDirectory;
  LayerStore(std::string path, UniqueFd root, UniqueFd tmp, std::shared_ptr<RecordCache> records);
  Result<json::Value> read_record(const std::string& key) const;
  Result<> remove_if_stale(const std::string& name, const BeforeRemoval& before) const;
  std::string path_;
  UniqueFd root_;
  UniqueFd tmp_;
  std::shared_ptr<RecordCache> records_;
};

/// A directory being filled, held by this process alone; removed with all in it unless published.
class WorkDirectory {
 public:
  /// Waits for another process that fills the directory of this name (a message after a second).
  /// Who claims several does so in the order of their names. The store must outlive it.
  static Result<WorkDirectory> claim(const LayerStore& store, const std::string& name);
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  WorkDirectory(WorkDirectory&&) noexcept;
  WorkDirectory& operator=(WorkDirectory&&) = delete;
  ~WorkDirectory();

  /// The directory to fill, empty but for the lock.
  std::string path() const;
  int fd() const { return dir_.get(); }
  /// Writes done.json.
  Result<> complete(const json::Value& done, sys::Durable durable) const;
  /// Gives the directory its key: from here on it is prepared. What is in it must be on disk, and
  /// the store's directory is to be synced after. When another process has published the same key,
  /// this copy goes.
  Result<> publish(const std::string& key) &&;

 private:
  WorkDirectory(const LayerStore& store, std::string name, UniqueFd dir, sys::FileLock lock);
  const LayerStore* store_;
  std::string name_;
  UniqueFd dir_;
  sys::FileLock lock_;
};

/// Bytes of a prepared thing, for what a removal reports.
using BytesOf = std::function<std::uint64_t(const std::string& key)>;

/// Driver::remove().
std::vector<Result<std::uint64_t>> remove_keys(const LayerStore& store,
                                               std::span<const std::string> keys,
                                               const BytesOf& bytes_of);

}  // namespace nexcage::layerfs
