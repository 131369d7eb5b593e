#include "nexcage/runtime/snapshots.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/runtime/kept.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/remove.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/runtime/undo.h"
#include "nexcage/storage/raw/image.h"
#include "nexcage/storage/zfs/owned.h"
#include "nexcage/storage/zfs/snapshots.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/process.h"

namespace nexcage::runtime {
namespace {

using backends::Record;
using storage::Snapshots;
using storage::Volume;

constexpr std::chrono::seconds kKillTimeout{10};

/// A container, locked, with what it keeps.
struct Held {
  Record record;
  sys::FileLock lock;
  Kept kept;
};

Result<Held> hold(const std::string& id, Services& with) {
  NX_TRY(Record record, find(id, with));
  NX_TRY(sys::FileLock lock, lock_container(record));
  NX_TRY(record, find(id, with));
  NX_TRY(Kept kept, load_kept(id, with.settings));
  return Held{std::move(record), std::move(lock), std::move(kept)};
}

bool ended(const Record& record) { return record.state.status == oci::Status::stopped; }

std::unexpected<Error> no_snapshots(const Held& held) {
  const std::string& id = held.record.state.id;
  if (!held.kept.volume)
    return fail(
        Error(Errc::Unsupported, "container " + id +
                                     " runs on the files of its bundle, which are "
                                     "not nexcage's to snapshot")
            .hint("give it a storage of its own: annotation proxmox.storage or org.nexcage.raw"));
  return fail(Error(Errc::Unsupported, "the files of container " + id +
                                           " lie in a directory, of which "
                                           "its file system makes no snapshots")
                  .hint("take storage zfs, a directory on btrfs, or a raw image on xfs or btrfs"));
}

/// Its root file system, which stays mounted after its end until something takes it down.
Result<std::optional<std::string>> mounted_root(const Record& record) {
  NX_TRY(const auto table, sys::read_mountinfo());
  for (const sys::MountInfo& mount : table)
    if (mount.mount_point == record.rootfs) return std::optional(record.rootfs);
  return std::optional<std::string>();
}

/// The image is mounted in the guest, where nothing here can hold its writes.
Result<> refuse_while_written(const Record& record) {
  NX_TRY(const bool alive, sys::is_alive(record.init));
  if (!alive) return {};
  return fail(Error(Errc::InvalidState,
                    "the virtual machine of container " + record.state.id + " writes to its image")
                  .hint("stop the container first"));
}

Result<std::unique_ptr<Snapshots>> open_snapshots(const Held& held, storage::zfs::Newer newer) {
  if (!held.kept.volume) return no_snapshots(held);
  const Volume& volume = *held.kept.volume;
  if (!volume.dataset.empty()) {
    NX_TRY(auto dataset, storage::zfs::OwnedDataset::parse(volume.dataset, volume.token));
    return storage::zfs::open_dataset_snapshots(std::move(dataset), newer);
  }
  if (volume.raw) {
    NX_TRY(const auto mounted, mounted_root(held.record));
    return storage::open_image_snapshots(volume.raw->path, volume.snapshots(), mounted);
  }
  if (volume.subvolume)
    return storage::open_subvolume_snapshots(volume.writable(), volume.snapshots());
  return no_snapshots(held);
}

Result<std::unique_ptr<Snapshots>> open_snapshots(const Held& held) {
  return open_snapshots(held, storage::zfs::Newer::refuse);
}

Result<> kill_and_wait(const Record& record, int pidfd, Services& with) {
  auto killed = kill(record.state.id, SIGKILL, true, with);
  if (!killed && killed.error().code() != Errc::InvalidState) return killed;
  NX_TRY(const bool gone, sys::wait_exit(pidfd, kKillTimeout));
  if (!gone) return fail(Errc::Timeout, "wait for its end after KILL");
  return {};
}

/// Nothing runs any more when it returns.
Result<> end_container(const Record& record, Services& with) {
  const auto pidfd = sys::open_process(record.init);
  if (!pidfd) return fail(pidfd.error());
  if (!*pidfd) return {};
  return kill_and_wait(record, (*pidfd)->get(), with);
}

Result<std::vector<std::string>> apply_retention(Snapshots& snapshots, const Retention& retention) {
  NX_TRY(auto all, snapshots.list());
  std::erase_if(all, [&](const storage::SnapshotInfo& one) {
    return !one.name.starts_with(retention.beginning);
  });
  std::vector<std::string> gone = storage::beyond(all, retention.keep);
  for (const std::string& old : gone) NX_CHECK(snapshots.remove(old), "remove snapshot " + old);
  return gone;
}

Result<> grow_dataset(const Volume& volume, std::uint64_t bytes) {
  NX_TRY(const auto owned, storage::zfs::OwnedDataset::parse(volume.dataset, volume.token));
  NX_TRY(const auto now, owned.client().property(owned.dataset(), "refquota"));
  const std::uint64_t limit = parse_u64(now.value_or("0")).value_or(0);
  if (limit == 0) return fail(Errc::InvalidState, "it has no limit that could grow");
  if (bytes < limit)
    return fail(Errc::InvalidSpec, "it has " + std::to_string(limit) + " bytes already");
  return owned.client().set(owned.dataset(), {{"refquota", std::to_string(bytes)}});
}

/// A ZFS volume is made larger first; a file grows with its file system. Returns the new size.
Result<std::uint64_t> grow_device(const Volume& volume, std::uint64_t bytes) {
  if (volume.kind != storage::Kind::zvol) return bytes;
  NX_TRY(const auto owned, storage::zfs::OwnedDataset::parse(volume.dataset, volume.token));
  return owned.grow_volume(bytes);
}

/// Of one that runs with the file system as it is mounted; of one that has ended without.
Result<> grow_image(const Held& held, const Volume& volume, std::uint64_t bytes, Services& with) {
  const Record& record = held.record;
  if (record.backend == "vm")
    return fail(Error(Errc::Unsupported,
                      "a virtual machine has written its file system, which the "
                      "host therefore neither repairs nor mounts to grow it")
                    .hint("make a container with more storage and copy the files"));
  const storage::raw::FileSystem file_system = volume.raw->file_system;
  NX_TRY(const std::string path, storage::image_path(volume));
  if (!ended(record)) {
    NX_TRY(bytes, grow_device(volume, bytes));
    return storage::raw::grow_image(path, file_system, bytes, record.rootfs);
  }
  NX_TRY(FileUndoLog log, FileUndoLog::create(Paths(with.settings).undo_dir(), record.state.id));
  NX_CHECK(take_down(log, record, held.kept, with));
  NX_TRY(bytes, grow_device(volume, bytes));
  NX_CHECK(storage::raw::grow_image(path, file_system, bytes, std::nullopt));
  return log.commit();
}

/// ZFS does not know of the file system in a volume, or in an image in a dataset: what that has not
/// written back yet must be in the snapshot too.
Result<> create_snapshot(Snapshots& snapshots, const std::string& name, const Held& held) {
  const Volume& volume = *held.kept.volume;
  if (held.record.backend == "vm") NX_CHECK(refuse_while_written(held.record));
  if (volume.dataset.empty() || !volume.raw) return snapshots.create(name);
  NX_TRY(const auto mounted, mounted_root(held.record));
  if (!mounted) return snapshots.create(name);
  NX_TRY(const UniqueFd root, sys::open_at(AT_FDCWD, *mounted, O_RDONLY | O_DIRECTORY));
  NX_TRY(auto frozen, storage::raw::Frozen::freeze(root.get()));
  auto made = snapshots.create(name);
  NX_CHECK(frozen.thaw());
  return made;
}

}  // namespace

Result<std::vector<std::string>> make_snapshot(const std::string& id, const std::string& name,
                                               const std::optional<Retention>& retention,
                                               Services& with) {
  const std::string what = "snapshot " + name + " of " + id;
  NX_CHECK(storage::check_snapshot_name(name), what);
  NX_TRY(const Held held, hold(id, with), what);
  NX_TRY(const auto snapshots, open_snapshots(held), what);
  NX_CHECK(create_snapshot(*snapshots, name, held), what);
  if (!retention) return std::vector<std::string>();
  NX_TRY(auto gone, apply_retention(*snapshots, *retention), what);
  return gone;
}

Result<std::vector<storage::SnapshotInfo>> list_snapshots(const std::string& id, Services& with) {
  NX_TRY(const Held held, hold(id, with));
  NX_TRY(const auto snapshots, open_snapshots(held));
  return snapshots->list();
}

Result<> roll_back_to(const std::string& id, const std::string& name, const RollBack& how,
                      Services& with) {
  const std::string what = "roll back " + id + " to " + name;
  NX_TRY(const Held held, hold(id, with), what);
  NX_TRY(const auto snapshots,
         open_snapshots(
             held, how.discard_newer ? storage::zfs::Newer::destroy : storage::zfs::Newer::refuse),
         what);
  NX_TRY(const auto all, snapshots->list(), what);
  if (!std::ranges::any_of(all, [&](const auto& one) { return one.name == name; }))
    return fail(Error(Errc::InvalidState, "there is no snapshot " + name)
                    .hint("nexcage snapshot list " + id)
                    .wrap(what));
  if (!ended(held.record)) {
    if (!how.force)
      return fail(
          Error(Errc::InvalidState, "container " + id + " is " +
                                        std::string(oci::status_name(held.record.state.status)))
              .hint("stop it first, or give --force")
              .wrap(what));
    NX_CHECK(end_container(held.record, with), what);
  }
  NX_TRY(FileUndoLog log, FileUndoLog::create(Paths(with.settings).undo_dir(), id), what);
  NX_TRY(const Record now_ended, find(id, with), what);
  NX_CHECK(take_down(log, now_ended, held.kept, with), what);
  NX_CHECK(snapshots->rollback(name), what);
  NX_CHECK(log.commit(), what);
  return {};
}

Result<> remove_snapshot(const std::string& id, const std::string& name, Services& with) {
  const std::string what = "delete snapshot " + name + " of " + id;
  NX_TRY(const Held held, hold(id, with), what);
  NX_TRY(const auto snapshots, open_snapshots(held), what);
  NX_CHECK(snapshots->remove(name), what);
  return {};
}

Result<> grow_storage(const std::string& id, std::uint64_t bytes, Services& with) {
  const std::string what = "grow the storage of " + id;
  NX_TRY(const Held held, hold(id, with), what);
  if (held.kept.volume && held.kept.volume->raw) {
    NX_CHECK(grow_image(held, *held.kept.volume, bytes, with), what);
    return {};
  }
  if (held.kept.volume && !held.kept.volume->dataset.empty()) {
    NX_CHECK(grow_dataset(*held.kept.volume, bytes), what);
    return {};
  }
  return fail(
      Error(Errc::Unsupported, "its files lie in a directory, which has no limit of its own")
          .wrap(what));
}

}  // namespace nexcage::runtime
