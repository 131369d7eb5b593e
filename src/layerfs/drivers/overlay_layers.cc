#include "nexcage/layerfs/drivers/overlay_layers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/layerfs/unpack_protocol.h"

namespace nexcage::layerfs::overlay {
namespace {

constexpr const char* kTree = "fs";
constexpr const char* kDone = "done.json";
constexpr const char* kLock = "lock";
constexpr const char* kTmp = ".tmp";
constexpr std::string_view kByDiff = "d-";
constexpr std::string_view kByChain = "c-";
constexpr int kFirstWaitMs = 1'000;        // then a message
constexpr int kLayerWaitMs = 60 * 60'000;  // a large layer on a slow disk
constexpr int kStoreWaitMs = 60'000;
constexpr int kMaxClaims = 1'000;  // tries; each failed one means that another process was quicker

/// True when `name` in `parent` is still the directory `dir`.
Result<bool> is_same(int parent, const std::string& name, int dir) {
  NX_TRY(const auto there, sys::stat_at(parent, name));
  NX_TRY(const struct stat here, sys::stat_fd(dir));
  return there && there->st_ino == here.st_ino && there->st_dev == here.st_dev;
}

/// Takes the lock file in `dir`; nullopt when the directory is being removed.
Result<std::optional<sys::FileLock>> wait_for_lock(int dir, const std::string& name) {
  constexpr auto kKind = sys::FileLock::Kind::exclusive;
  auto lock = sys::FileLock::acquire(dir, kLock, kKind, kFirstWaitMs);
  if (!lock && lock.error().code() == Errc::Timeout) {
    log::warning("waiting for another process that prepares layer " + name);
    lock = sys::FileLock::acquire(dir, kLock, kKind, kLayerWaitMs);
  }
  if (lock) return std::optional(std::move(*lock));
  if (lock.error().sys_errno() == ENOENT) return std::optional<sys::FileLock>();
  return fail(std::move(lock).error());
}

/// Removes a directory whose lock is held. It loses its name first: whoever waits for the lock and
/// then finds the lock file gone, and makes a new one, must find the name gone as well.
Result<> remove_locked(int tmp, const std::string& name) {
  NX_TRY(const std::string suffix, sys::random_hex(8));
  const std::string away = "removed-" + suffix;
  if (renameat(tmp, name.c_str(), tmp, away.c_str()) != 0) return fail_errno("take away " + name);
  return sys::remove_tree(tmp, away);
}

std::string work_name(const Layer& layer) { return std::string(layer.chain_id.hex()); }

}  // namespace

std::string key_of(const Layer& layer, const UnpackResult& content) {
  return content.self_contained ? std::string(kByDiff) + std::string(layer.diff_id.hex())
                                : std::string(kByChain) + std::string(layer.chain_id.hex());
}

std::vector<std::string> possible_keys(const Layer& layer) {
  UnpackResult content;
  content.self_contained = false;
  return {key_of(layer, UnpackResult{}), key_of(layer, content)};
}

bool is_key(std::string_view name) {
  return name.starts_with(kByDiff) || name.starts_with(kByChain);
}

LayerStore::LayerStore(std::string path, UniqueFd root, UniqueFd tmp)
    : path_(std::move(path)), root_(std::move(root)), tmp_(std::move(tmp)) {}

Result<LayerStore> LayerStore::open(const std::string& root) {
  std::string path = sys::clean_path(root + "/overlay");
  NX_CHECK(sys::mkdirs(path + "/" + kTmp, 0700));
  NX_TRY(UniqueFd dir, sys::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
  NX_TRY(UniqueFd tmp, sys::open_at(dir.get(), kTmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return LayerStore(std::move(path), std::move(dir), std::move(tmp));
}

std::string LayerStore::tree_path(const std::string& key) const {
  return path_ + "/" + key + "/" + kTree;
}

Result<std::optional<LayerInfo>> LayerStore::find(const Layer& layer) const {
  for (const std::string& key : possible_keys(layer)) {
    NX_TRY(const bool there, sys::exists(fd(), key));
    if (!there) continue;
    NX_TRY(LayerInfo found, info(key));
    return std::optional(std::move(found));
  }
  return std::optional<LayerInfo>();
}

Result<LayerInfo> LayerStore::info(const std::string& key) const {
  const auto read = [&]() -> Result<LayerInfo> {
    NX_TRY(const std::string text, sys::read_file(fd(), key + "/" + kDone));
    NX_TRY(const json::Value value, json::parse(text));
    NX_TRY(const UnpackResult content, unpack_result_from_json(value));
    return LayerInfo{key, content};
  };
  auto result = read();
  if (result) return result;
  return fail(std::move(result)
                  .error()
                  .as(Errc::LayerError)
                  .hint("remove " + path_ + "/" + key + "; it is made again when needed")
                  .wrap("prepared layer " + key));
}

Result<std::vector<std::string>> LayerStore::keys() const {
  NX_TRY(std::vector<std::string> names, sys::list_dir(fd()));
  std::erase_if(names, [](const std::string& name) { return !is_key(name); });
  std::ranges::sort(names);
  return names;
}

Result<sys::FileLock> LayerStore::lock(sys::FileLock::Kind kind) const {
  auto lock = sys::FileLock::acquire(fd(), ".lock", kind, kFirstWaitMs);
  if (lock || lock.error().code() != Errc::Timeout) return lock;
  log::warning("waiting for another process that uses the layers in " + path_);
  return sys::FileLock::acquire(fd(), ".lock", kind, kStoreWaitMs);
}

Result<> LayerStore::remove_stale() const {
  NX_TRY(const std::vector<std::string> names, sys::list_dir(tmp_.get()));
  for (const std::string& name : names) {
    auto dir = sys::open_beneath(tmp_.get(), name, O_RDONLY | O_DIRECTORY);
    if (!dir && dir.error().sys_errno() == ENOENT) continue;
    if (!dir) return fail(std::move(dir).error());
    // Who holds the lock lives and works in it. Who removes it at this moment takes the lock file
    // along, which is as good.
    const auto lock = sys::FileLock::try_acquire(dir->get(), kLock, sys::FileLock::Kind::exclusive);
    if (!lock || !*lock) continue;
    NX_TRY(const bool same, is_same(tmp_.get(), name, dir->get()));
    if (same) NX_CHECK(remove_locked(tmp_.get(), name), "remove an abandoned layer");
  }
  return {};
}

Result<> LayerStore::discard(const std::string& key) const {
  const std::string name = "removed-" + key;
  NX_CHECK(sys::remove_tree(tmp_.get(), name));
  if (renameat(fd(), key.c_str(), tmp_.get(), name.c_str()) != 0)
    return fail_errno("take away layer " + key);
  return {};
}

Result<> LayerStore::sync() const {
  if (syncfs(fd()) != 0) return fail_errno("sync the layers to disk");
  return {};
}

WorkDirectory::WorkDirectory(const LayerStore& store, std::string name, UniqueFd dir,
                             sys::FileLock lock)
    : store_(&store), name_(std::move(name)), dir_(std::move(dir)), lock_(std::move(lock)) {}

WorkDirectory::WorkDirectory(WorkDirectory&& other) noexcept = default;

WorkDirectory::~WorkDirectory() {
  if (dir_) (void)remove_locked(store_->tmp_.get(), name_);
}

Result<WorkDirectory> WorkDirectory::claim(const LayerStore& store, const Layer& layer) {
  const std::string name = work_name(layer);
  for (int tries = 0; tries < kMaxClaims; ++tries) {
    if (mkdirat(store.tmp_.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
      return fail_errno("create a directory for layer " + name);
    auto dir = sys::open_beneath(store.tmp_.get(), name, O_RDONLY | O_DIRECTORY);
    if (!dir && dir.error().sys_errno() == ENOENT) continue;
    if (!dir) return fail(std::move(dir).error());
    NX_TRY(auto lock, wait_for_lock(dir->get(), name));
    if (!lock) continue;
    NX_TRY(const bool same, is_same(store.tmp_.get(), name, dir->get()));
    if (!same) continue;
    // What a process that died left behind.
    NX_CHECK(sys::remove_tree(dir->get(), kTree));
    NX_CHECK(sys::remove_file(dir->get(), kDone));
    if (mkdirat(dir->get(), kTree, 0700) != 0) return fail_errno("create a layer's directory");
    return WorkDirectory(store, name, std::move(*dir), std::move(*lock));
  }
  return fail(Errc::Timeout, "layer " + name + " is taken and dropped by other processes");
}

std::string WorkDirectory::tree_path() const {
  return store_->path_ + "/" + kTmp + "/" + name_ + "/" + kTree;
}

Result<> WorkDirectory::complete(const LayerInfo& info) const {
  // Durable with the store's next sync().
  return sys::write_file_atomic(dir_.get(), kDone, json::dump(to_json(info.content)), 0600,
                                sys::Durable::no);
}

Result<> WorkDirectory::publish(const std::string& key) && {
  if (renameat2(store_->tmp_.get(), name_.c_str(), store_->fd(), key.c_str(), RENAME_NOREPLACE) !=
      0) {
    if (errno == EEXIST) return {};
    return fail_errno("publish layer " + key);
  }
  dir_.reset();
  return {};
}

}  // namespace nexcage::layerfs::overlay
