#include "nexcage/layerfs/drivers/layer_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/layerfs/batch.h"
#include "nexcage/layerfs/drivers/protect.h"

namespace nexcage::layerfs {
namespace {

constexpr const char* kDone = "done.json";
constexpr const char* kLock = "lock";
constexpr const char* kTmp = ".tmp";
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

/// Removes everything in the directory, protected files too, but its lock.
Result<> empty_but_lock(int dir) {
  NX_CHECK(unprotect_files(dir));
  NX_TRY(const std::vector<std::string> names, sys::list_dir(dir));
  for (const std::string& name : names)
    if (name != kLock) NX_CHECK(sys::remove_tree(dir, name));
  return {};
}

/// Removes a directory whose lock is held. It loses its name first: whoever waits for the lock and
/// then finds the lock file gone, and makes a new one, must find the name gone as well.
Result<> remove_locked(int tmp, const std::string& name, int dir) {
  NX_TRY(const std::string suffix, sys::random_hex(8));
  const std::string away = "removed-" + suffix;
  if (renameat(tmp, name.c_str(), tmp, away.c_str()) != 0) return fail_errno("take away " + name);
  NX_CHECK(unprotect_files(dir));
  return sys::remove_tree(tmp, away);
}

}  // namespace

LayerStore::LayerStore(std::string path, UniqueFd root, UniqueFd tmp,
                       std::shared_ptr<RecordCache> records)
    : path_(std::move(path)),
      root_(std::move(root)),
      tmp_(std::move(tmp)),
      records_(std::move(records)) {}

Result<LayerStore> LayerStore::open(const std::string& root, std::string_view driver,
                                    std::shared_ptr<RecordCache> records) {
  std::string path = sys::clean_path(root + "/" + std::string(driver));
  auto dir = sys::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  if (!dir && dir.error().sys_errno() == ENOENT) {
    NX_CHECK(sys::mkdirs(path, 0700));
    dir = sys::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  }
  if (!dir) return fail(std::move(dir).error());
  if (mkdirat(dir->get(), kTmp, 0700) != 0 && errno != EEXIST)
    return fail_errno("create " + path + "/" + kTmp);
  NX_TRY(UniqueFd tmp, sys::open_at(dir->get(), kTmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return LayerStore(std::move(path), std::move(*dir), std::move(tmp), std::move(records));
}

Error LayerStore::damaged(const std::string& key, Error error) const {
  return std::move(error)
      .as(Errc::LayerError)
      .hint("remove " + path_ + "/" + key + "; it is made again when needed")
      .wrap("prepared layer " + key);
}

Result<json::Value> LayerStore::read_record(const std::string& key) const {
  NX_TRY(const std::string text, sys::read_file(fd(), key + "/" + kDone));
  return json::parse(text);
}

Result<std::optional<json::Value>> LayerStore::find(const std::string& key) const {
  const std::string name = path_ + "/" + key;
  if (records_) {
    // A record never changes, but another process may have removed the layer.
    if (const auto known = records_->find(name)) {
      NX_TRY(const bool there, sys::exists(fd(), key));
      if (there) return std::optional<json::Value>(**known);
      records_->erase(name);
    }
  }
  auto record = read_record(key);
  if (!record && record.error().sys_errno() == ENOENT) {
    NX_TRY(const bool there, sys::exists(fd(), key));
    if (!there) return std::optional<json::Value>();
  }
  if (!record) return fail(damaged(key, std::move(record).error()));
  if (records_) records_->put(name, std::make_shared<const json::Value>(*record));
  return std::optional(*std::move(record));
}

Result<std::vector<std::string>> LayerStore::keys() const {
  NX_TRY(std::vector<std::string> names, sys::list_dir(fd()));
  std::erase_if(names, [](const std::string& name) { return name.starts_with('.'); });
  std::ranges::sort(names);
  return names;
}

Result<sys::FileLock> LayerStore::lock(sys::FileLock::Kind kind) const {
  auto lock = sys::FileLock::acquire(fd(), ".lock", kind, kFirstWaitMs);
  if (lock || lock.error().code() != Errc::Timeout) return lock;
  log::warning("waiting for another process that uses the layers in " + path_);
  return sys::FileLock::acquire(fd(), ".lock", kind, kStoreWaitMs);
}

Result<> LayerStore::remove_if_stale(const std::string& name, const BeforeRemoval& before) const {
  auto dir = sys::open_beneath(tmp_.get(), name, O_RDONLY | O_DIRECTORY);
  if (!dir && dir.error().sys_errno() == ENOENT) return {};
  if (!dir) return fail(std::move(dir).error());
  // Who holds the lock lives and works in it. Who removes it at this moment takes the lock file
  // along, which is as good.
  const auto lock = sys::FileLock::try_acquire(dir->get(), kLock, sys::FileLock::Kind::exclusive);
  if (!lock || !*lock) return {};
  NX_TRY(const bool same, is_same(tmp_.get(), name, dir->get()));
  if (!same) return {};
  if (before)
    NX_CHECK(before(dir->get(), path_ + "/" + kTmp + "/" + name), "abandoned layer " + name);
  NX_CHECK(remove_locked(tmp_.get(), name, dir->get()), "remove an abandoned layer");
  return {};
}

Result<> LayerStore::remove_stale(const BeforeRemoval& before) const {
  NX_TRY(const std::vector<std::string> names, sys::list_dir(tmp_.get()));
  return run_batch({.count = names.size(),
                    .work = [&](std::size_t i) { return remove_if_stale(names[i], before); },
                    .load = BatchLoad::kernel})
      .joined();
}

Result<> LayerStore::discard(const std::string& key) const {
  NX_TRY(const std::string suffix, sys::random_hex(8));
  const std::string name = "removed-" + suffix;
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
  if (dir_) (void)remove_locked(store_->tmp_.get(), name_, dir_.get());
}

Result<WorkDirectory> WorkDirectory::claim(const LayerStore& store, const std::string& name) {
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
    NX_CHECK(empty_but_lock(dir->get()), "clear what a process that died left behind");
    return WorkDirectory(store, name, std::move(*dir), std::move(*lock));
  }
  return fail(Errc::Timeout, "layer " + name + " is taken and dropped by other processes");
}

std::string WorkDirectory::path() const { return store_->path_ + "/" + kTmp + "/" + name_; }

Result<> WorkDirectory::complete(const json::Value& done, sys::Durable durable) const {
  return sys::write_file_atomic(dir_.get(), kDone, json::dump(done), 0600, durable);
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

}  // namespace nexcage::layerfs
