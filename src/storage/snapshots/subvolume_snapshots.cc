// Snapshots of a btrfs subvolume: read-only snapshots in a directory beside it.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/storage/snapshots/parts.h"
#include "nexcage/storage/snapshots/snapshots.h"
#include "nexcage/sys/btrfs.h"
#include "nexcage/sys/fs.h"

namespace nexcage::storage {
namespace {

constexpr mode_t kPrivate = 0700;

Result<UniqueFd> open_directory(int dir, const std::string& name) {
  return sys::open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/// A descriptor of the snapshot; empty when there is none of this name.
Result<UniqueFd> find(int directory, const std::string& name) {
  if (directory < 0) return UniqueFd();
  auto fd = open_directory(directory, name);
  if (!fd && (fd.error().sys_errno() == ENOENT || fd.error().sys_errno() == ENOTDIR))
    return UniqueFd();
  if (!fd) return fd;
  NX_TRY(const bool subvolume, sys::is_subvolume(fd->get()));
  if (!subvolume) return UniqueFd();
  return fd;
}

/// At once where it can be; where the container has made subvolumes of its own in it, one by one.
Result<> discard(int dir, const std::string& name) {
  auto deleted = sys::delete_subvolume(dir, name);
  if (deleted || deleted.error().sys_errno() != ENOTEMPTY) return deleted;
  return sys::remove_tree(dir, name);
}

class SubvolumeSnapshots : public Snapshots {
 public:
  SubvolumeSnapshots(const std::filesystem::path& subvolume, std::string directory)
      : parent_(subvolume.parent_path()),
        name_(subvolume.filename()),
        directory_(std::move(directory)) {}

  Result<> create(const std::string& name) override {
    NX_CHECK(check_snapshot_name(name));
    NX_CHECK(make(name), "snapshot " + name);
    return {};
  }
  Result<std::vector<SnapshotInfo>> list() override;
  Result<> rollback(const std::string& name) override {
    NX_CHECK(check_snapshot_name(name));
    NX_CHECK(replace(name), "roll back to " + name);
    return {};
  }
  Result<> remove(const std::string& name) override;

 private:
  Result<> make(const std::string& name);
  Result<> replace(const std::string& name);
  /// The directory that the subvolume is in, without what a killed rollback has left there: the
  /// new contents before the exchange, or the old ones after it.
  Result<UniqueFd> open_parent() const;

  std::string parent_;     // the directory that the subvolume is in
  std::string name_;       // and its name there
  std::string directory_;  // of the snapshots
};

Result<UniqueFd> SubvolumeSnapshots::open_parent() const {
  NX_TRY(UniqueFd parent, sys::open_at(AT_FDCWD, parent_, O_RDONLY | O_DIRECTORY));
  NX_CHECK(discard(parent.get(), replacement_name(name_)), "what a rollback has left");
  return parent;
}

Result<> SubvolumeSnapshots::make(const std::string& name) {
  NX_CHECK(sys::mkdirs(directory_, kPrivate));
  NX_TRY(const UniqueFd directory, open_if_there(directory_));
  NX_TRY(const sys::FileLock lock, lock_snapshots(directory.get()));
  NX_TRY(const UniqueFd parent, open_parent());
  NX_TRY(const UniqueFd source, open_directory(parent.get(), name_));
  NX_TRY(const bool parts, sys::has_subvolumes(source.get()));
  if (parts)
    return fail(Error(Errc::Unsupported, "other subvolumes lie in it, which would be left out")
                    .hint("\"btrfs subvolume list -o\" shows them"));
  auto made = sys::snapshot_subvolume(source.get(), directory.get(), name, sys::Access::read_only);
  if (!made && made.error().sys_errno() == EEXIST) return fail(exists_already(name));
  if (!made && made.error().sys_errno() == EXDEV)
    return fail(std::move(made)
                    .error()
                    .as(Errc::Unsupported)
                    .hint("snapshots must lie on the file system of what they are taken of"));
  return made;
}

Result<std::vector<SnapshotInfo>> SubvolumeSnapshots::list() {
  NX_TRY(const UniqueFd directory, open_if_there(directory_), "list snapshots");
  std::vector<Dated> found;
  if (!directory) return by_age(std::move(found));
  NX_TRY(const std::vector<std::string> names, sys::list_dir(directory.get()), "list snapshots");
  for (const std::string& name : names) {
    if (!check_snapshot_name(name)) continue;
    NX_TRY(const UniqueFd snapshot, find(directory.get(), name), "list snapshots");
    if (!snapshot) continue;
    NX_TRY(const sys::SubvolumeInfo info, sys::subvolume_info(snapshot.get()), "list snapshots");
    // How much only one of them holds, btrfs knows with quotas only.
    found.push_back({.info = {.name = name, .created = info.created, .bytes = std::nullopt},
                     .nanoseconds = info.created_ns,
                     .serial = info.id});
  }
  return by_age(std::move(found));
}

Result<> SubvolumeSnapshots::replace(const std::string& name) {
  NX_TRY(const UniqueFd directory, open_if_there(directory_));
  if (!directory) return fail(no_such_snapshot(name));
  NX_TRY(const sys::FileLock lock, lock_snapshots(directory.get()));
  NX_TRY(const UniqueFd snapshot, find(directory.get(), name));
  if (!snapshot) return fail(no_such_snapshot(name));
  NX_TRY(const UniqueFd parent, open_parent());
  const std::string aside = replacement_name(name_);
  NX_CHECK(sys::snapshot_subvolume(snapshot.get(), parent.get(), aside, sys::Access::read_write));
  testpoint("rollback-before-exchange");
  if (::renameat2(parent.get(), aside.c_str(), parent.get(), name_.c_str(), RENAME_EXCHANGE) != 0) {
    Error error = Error::from_errno("exchange the contents");
    if (auto undone = discard(parent.get(), aside); !undone)
      return fail(std::move(error).also(std::move(undone).error()));
    return fail(std::move(error));
  }
  testpoint("rollback-after-exchange");
  if (::syncfs(parent.get()) != 0) return fail_errno("write the file system back");
  return discard(parent.get(), aside);
}

Result<> SubvolumeSnapshots::remove(const std::string& name) {
  const std::string what = "remove snapshot " + name;
  NX_CHECK(check_snapshot_name(name));
  NX_TRY(const UniqueFd directory, open_if_there(directory_), what);
  if (!directory) return fail(no_such_snapshot(name));
  NX_TRY(const sys::FileLock lock, lock_snapshots(directory.get()), what);
  NX_CHECK(open_parent(), what);
  NX_TRY(const UniqueFd snapshot, find(directory.get(), name), what);
  if (!snapshot) return fail(no_such_snapshot(name));
  NX_CHECK(discard(directory.get(), name), what);
  return {};
}

}  // namespace

Result<std::unique_ptr<Snapshots>> open_subvolume_snapshots(const std::string& subvolume,
                                                            const std::string& directory) {
  const std::string path = sys::clean_path(subvolume);
  const std::string what = "snapshots of " + subvolume;
  NX_TRY(const UniqueFd top, open_directory(AT_FDCWD, path), what);
  NX_TRY(const bool is_one, sys::is_subvolume(top.get()), what);
  if (!is_one)
    return fail(Error(Errc::Unsupported, subvolume + " is no subvolume of btrfs")
                    .hint("snapshots need storage that can make them: btrfs, zfs, or a raw image "
                          "on xfs or btrfs"));
  return std::make_unique<SubvolumeSnapshots>(path, directory);
}

}  // namespace nexcage::storage
