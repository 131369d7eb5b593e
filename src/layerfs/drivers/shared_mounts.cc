#include "nexcage/layerfs/drivers/shared_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "nexcage/layerfs/drivers/erofs_mount.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::erofs_driver {
namespace {

constexpr const char* kMounts = ".mounts";
constexpr int kLockWaitMs = 60'000;
constexpr int kMaxTries = 100;  // each failed one means that another process was quicker

Result<> make_directory(int dir, const std::string& name) {
  if (mkdirat(dir, name.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return fail_errno("create " + name);
}

}  // namespace

Result<SharedMounts> SharedMounts::open(const LayerStore& store) {
  std::string path = store.path() + "/" + kMounts;
  auto dir = sys::open_at(store.fd(), kMounts, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir && dir.error().sys_errno() == ENOENT) {
    NX_CHECK(make_directory(store.fd(), kMounts));
    dir = sys::open_at(store.fd(), kMounts, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }
  if (!dir) return fail(std::move(dir).error());
  return SharedMounts(std::move(path), std::move(*dir));
}

Result<sys::FileLock> SharedMounts::lock(const std::string& group, sys::FileLock::Kind kind) const {
  return sys::FileLock::acquire(dir_.get(), group, kind, kLockWaitMs, sys::FileLock::On::directory);
}

Result<sys::FileLock> SharedMounts::lock_new(const std::string& group) const {
  for (int tries = 0; tries < kMaxTries; ++tries) {
    NX_CHECK(make_directory(dir_.get(), group));
    auto locked = lock(group, sys::FileLock::Kind::exclusive);
    // Who had it has detached all and removed the directory.
    if (locked || locked.error().sys_errno() != ENOENT) return locked;
  }
  return fail(Errc::Timeout, "the mounts of " + group + " are contended");
}

Result<> SharedMounts::with(const std::string& group, std::size_t count, const Make& make,
                            const Use& use) const {
  if (count == 0) return use({});
  {
    auto shared = lock(group, sys::FileLock::Kind::shared);
    if (!shared && shared.error().sys_errno() != ENOENT) return fail(std::move(shared).error());
    if (shared) {
      NX_TRY(const std::vector<UniqueFd> roots, find(group, count));
      if (roots.size() == count) return use(roots);
    }
  }
  NX_TRY(const sys::FileLock exclusive, lock_new(group));
  NX_TRY(std::vector<UniqueFd> roots, find(group, count));
  if (roots.size() != count) {
    NX_CHECK(detach_all(group));  // part of them, of a process that died
    NX_TRY(const std::vector<sys::DetachedMount> mounts, make());
    NX_CHECK(attach_all(group, mounts));
    NX_TRY(roots, find(group, count));
    if (roots.size() != count)
      return fail(Errc::LayerError, "what was mounted below " + path_ + " is not there");
  }
  return use(roots);
}

Result<std::vector<UniqueFd>> SharedMounts::find(const std::string& group,
                                                 std::size_t count) const {
  std::vector<UniqueFd> roots;
  for (std::size_t i = 0; i < count; ++i) {
    auto root = sys::open_at(dir_.get(), group + "/" + std::to_string(i),
                             O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!root && root.error().sys_errno() == ENOENT) return std::vector<UniqueFd>();
    if (!root) return fail(std::move(root).error());
    NX_TRY(const bool mounted, is_erofs(root->get()));
    if (!mounted) return std::vector<UniqueFd>();
    roots.push_back(std::move(*root));
  }
  return roots;
}

Result<> SharedMounts::attach_all(const std::string& group,
                                  const std::vector<sys::DetachedMount>& mounts) const {
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    const std::string name = group + "/" + std::to_string(i);
    NX_CHECK(make_directory(dir_.get(), name));
    NX_CHECK(sys::attach(mounts[i], path_ + "/" + name));
  }
  return {};
}

Result<> SharedMounts::detach_all(const std::string& group) const {
  const auto dir = sys::open_at(dir_.get(), group, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir && dir.error().sys_errno() == ENOENT) return {};
  if (!dir) return fail(dir.error());
  NX_TRY(const std::vector<std::string> names, sys::list_dir(dir->get()));
  for (const std::string& name : names) {
    NX_CHECK(sys::unmount(path_ + "/" + group + "/" + name));
    // Busy: it is a mount point in another namespace that still has it.
    if (unlinkat(dir->get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT && errno != EBUSY)
      return fail_errno("remove mount point " + group + "/" + name);
  }
  return {};
}

Result<> SharedMounts::release(const std::string& group, const MountRefs& refs) const {
  NX_TRY(bool unused, refs.unused(group));
  if (!unused) return {};
  const auto exclusive = lock(group, sys::FileLock::Kind::exclusive);
  if (!exclusive && exclusive.error().sys_errno() == ENOENT) return {};
  if (!exclusive) return fail(exclusive.error());
  NX_TRY(unused, refs.unused(group));  // somebody may have come meanwhile
  if (!unused) return {};
  NX_CHECK(detach_all(group));
  if (unlinkat(dir_.get(), group.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT &&
      errno != ENOTEMPTY)
    return fail_errno("remove the mounts of " + group);
  return {};
}

Result<> SharedMounts::sweep(const MountRefs& refs) const {
  NX_TRY(const std::vector<std::string> groups, sys::list_dir(dir_.get()));
  for (const std::string& group : groups)
    if (!group.starts_with('.')) NX_CHECK(release(group, refs));
  return {};
}

}  // namespace nexcage::layerfs::erofs_driver
