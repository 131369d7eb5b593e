#include "nexcage/runtime/storages.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <map>
#include <utility>

#include "nexcage/runtime/kept.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/pull.h"
#include "nexcage/storage/zfs/client.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::runtime {
namespace {

using storage::Kind;

/// Type of the file system that a path lies in, by the table of mounts.
Result<std::string> file_system_of(const std::string& path) {
  NX_TRY(const auto table, sys::read_mountinfo());
  std::string best, type;
  for (const sys::MountInfo& mount : table) {
    const std::string below = mount.mount_point == "/" ? "/" : mount.mount_point + "/";
    if (path != mount.mount_point && !path.starts_with(below)) continue;
    if (mount.mount_point.size() < best.size()) continue;
    best = mount.mount_point;
    type = mount.fstype;
  }
  return type;
}

std::string snapshots_on(const std::string& file_system) {
  if (file_system == "btrfs") return "subvolumes";
  if (file_system == "xfs") return "of raw images";
  return "";
}

Result<> describe_directory(StorageInfo& info) {
  NX_TRY(info.file_system, file_system_of(info.location));
  info.snapshots = snapshots_on(info.file_system);
  struct statvfs space{};
  if (::statvfs(info.location.c_str(), &space) != 0) return fail_errno("look at " + info.location);
  info.size = std::uint64_t{space.f_blocks} * space.f_frsize;
  info.available = std::uint64_t{space.f_bavail} * space.f_frsize;
  return {};
}

Result<> describe_dataset(StorageInfo& info) {
  info.file_system = "zfs";
  info.snapshots = "datasets";
  NX_TRY(storage::zfs::Parent parent, storage::zfs::Parent::parse(info.location));
  const storage::zfs::Client client(std::move(parent));
  NX_CHECK(client.probe());
  NX_TRY(const auto pool, client.pool());
  NX_TRY(const auto space, client.space());
  info.health = pool.health;
  info.available = space.available;
  info.size = space.used + space.available;
  return {};
}

/// The name of the storage that a container's files lie in; empty for a bundle left as it is.
std::string storage_of(const Kept& kept) {
  if (!kept.volume || kept.volume->kind == Kind::bundle) return "";
  const storage::Volume& volume = *kept.volume;
  if (volume.kind == Kind::local) return "local";
  if (volume.kind == Kind::zfs || volume.kind == Kind::zvol)
    return "zfs:" + volume.dataset.substr(0, volume.dataset.rfind('/'));
  return "dir:" + volume.base.substr(0, volume.base.rfind('/'));
}

StorageInfo describe(const std::string& name, const Settings& settings) {
  StorageInfo info;
  info.name = name;
  Result<> described;
  if (name.starts_with("zfs:")) {
    info.location = name.substr(4);
    described = describe_dataset(info);
  } else {
    info.location = name == "local" ? settings.containers : name.substr(4);
    described = describe_directory(info);
  }
  if (!described) info.error = std::move(described).error();
  return info;
}

}  // namespace

Result<std::vector<StorageInfo>> list_storages(Services& with) {
  const Settings& settings = with.settings;
  std::map<std::string, std::uint64_t> containers{{"local", 0}};
  if (!settings.zfs_dataset.empty()) containers["zfs:" + settings.zfs_dataset] = 0;
  NX_TRY(const auto records, list(with));
  for (const backends::Record& record : records) {
    const auto kept = load_kept(record.state.id, settings);
    const std::string name = kept ? storage_of(*kept) : "";
    if (!name.empty()) ++containers[name];
  }
  NX_CHECK(sys::mkdirs(settings.containers, 0711));
  const auto chosen = default_storage(settings);
  std::vector<StorageInfo> all;
  for (const auto& [name, count] : containers) {
    StorageInfo info = describe(name, settings);
    info.containers = count;
    if (chosen)
      info.is_default =
          chosen->kind == Kind::local ? name == "local" : info.location == chosen->location;
    all.push_back(std::move(info));
  }
  return all;
}

Result<storage::Choice> explain_storage(const Request& request, const Services& with) {
  if (const auto* image = std::get_if<ImageSource>(&request.source)) {
    oci::Spec asked;
    asked.annotations = image->annotations;
    asked.mounts = image->mounts;
    return storage::select(asked, storage_defaults(with.settings), storage::Form::image);
  }
  NX_TRY(const oci::Spec spec,
         read_bundle_spec(std::get<BundleSource>(request.source), with.settings));
  return storage::select(spec, storage_defaults(with.settings), storage::Form::bundle);
}

}  // namespace nexcage::runtime
