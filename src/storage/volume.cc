#include "nexcage/storage/volume.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/storage/zfs/dataset.h"
#include "nexcage/storage/zfs/owned.h"
#include "nexcage/storage/zfs/volume.h"
#include "nexcage/sys/btrfs.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::storage {
namespace {

constexpr mode_t kPrivate = 0700;
constexpr std::size_t kTokenBytes = 16;
/// The device of a new volume appears when the kernel has come to it.
constexpr std::chrono::seconds kDeviceTimeout{30};
constexpr const char* kSubvolume = "volume";

/// A dataset of this name belongs to the images.
constexpr std::string_view kReserved = "nexcage";

/// Ids have no '@' and no ':', so that no other container's name is met.
std::string directory_name(const std::string& id, unsigned generation) {
  return generation == 1 ? id : id + "@" + std::to_string(generation);
}
/// A dataset's name has no '@'. Another container would have to be called "{id}+generation+{n}",
/// and is found to be another's by its token.
std::string dataset_name(const std::string& id, unsigned generation) {
  const std::string name = zfs::component_of(id);
  return generation == 1 ? name : name + ":generation:" + std::to_string(generation);
}

Result<> plan_dataset(const Choice& choice, const std::string& id, unsigned generation,
                      Volume& volume) {
  NX_TRY(const zfs::Parent parent, zfs::Parent::parse(choice.location));
  if (id == kReserved)
    return fail(Error(Errc::ConfigError, "dataset " + parent.name() + "/" + id +
                                             " holds nexcage's images; no container can have it")
                    .hint("choose another id"));
  NX_TRY(const zfs::Dataset dataset, parent.child(dataset_name(id, generation)));
  volume.dataset = dataset.name();
  NX_TRY(volume.token, sys::random_hex(kTokenBytes));
  return {};
}

/// The nearest directory that exists, from `path` upwards.
Result<UniqueFd> open_nearest(std::string path) {
  while (true) {
    auto fd = sys::open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY);
    if (fd || fd.error().sys_errno() != ENOENT || path == "/") return fd;
    const auto slash = path.rfind('/');
    path = slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
  }
}

/// A volume in a directory: a subvolume where the file system has such.
Result<> plan_directory(Volume& volume) {
  NX_TRY(const UniqueFd nearest, open_nearest(volume.base));
  NX_TRY(volume.subvolume, sys::is_btrfs(nearest.get()));
  return {};
}

/// What is there already is not ours: a roll-back would take it away.
Result<> refuse_existing(const std::string& path) {
  NX_TRY(const bool taken, sys::exists(AT_FDCWD, path));
  if (!taken) return {};
  return fail(Error(Errc::ContainerExists, path + " exists already")
                  .hint("choose another id, or take it away yourself"));
}

Result<> make_subvolume(const Volume& volume) {
  NX_TRY(const UniqueFd base, sys::open_at(AT_FDCWD, volume.base, O_RDONLY | O_DIRECTORY));
  NX_TRY(const bool there, sys::exists(base.get(), kSubvolume));
  if (there) return {};
  NX_CHECK(sys::create_subvolume(base.get(), kSubvolume), "create subvolume " + volume.writable());
  if (::fchmodat(base.get(), kSubvolume, kPrivate, 0) != 0)
    return fail_errno("set the mode of " + volume.writable());
  return {};
}

Result<bool> is_mounted(const std::string& path) {
  NX_TRY(const auto table, sys::read_mountinfo());
  for (const sys::MountInfo& mount : table)
    if (mount.mount_point == path) return true;
  return false;
}

Result<> make_dataset(const Volume& volume) {
  NX_TRY(const zfs::OwnedDataset owned, zfs::OwnedDataset::parse(volume.dataset, volume.token));
  NX_CHECK(owned.create({}));
  NX_TRY(const bool mounted, is_mounted(volume.base));
  if (mounted) return {};
  NX_TRY(const sys::DetachedMount mount, zfs::mount_dataset(owned.dataset(), 0));
  return sys::attach(mount, volume.base);
}

Result<> make_zvol(const Volume& volume) {
  NX_TRY(const zfs::OwnedDataset owned, zfs::OwnedDataset::parse(volume.dataset, volume.token));
  return owned.create_volume(volume.raw->bytes);
}

}  // namespace

Result<std::string> image_path(const Volume& volume) {
  if (volume.kind != Kind::zvol) return volume.raw->path;
  NX_TRY(const zfs::OwnedDataset owned, zfs::OwnedDataset::parse(volume.dataset, volume.token));
  NX_TRY(const bool there, owned.exists());
  if (!there) return fail(Errc::ZFSError, "volume " + volume.dataset + " of the container is gone");
  NX_TRY(const std::string device, zfs::volume_device(owned.dataset(), kDeviceTimeout));
  std::error_code error;
  const std::filesystem::path path = std::filesystem::canonical(device, error);
  if (error) return fail_errno(error.value(), "find " + device);
  return path.string();
}

std::string Volume::snapshots() const {
  if (!raw) return base + "/snapshots";
  return raw->path.substr(0, raw->path.rfind('/')) + "/snapshots";
}

bool survives(const Volume& volume) { return volume.raw || volume.kind == Kind::zfs; }

json::Value to_json(const Volume& volume) {
  json::Object object;
  object.set("kind", kind_name(volume.kind));
  object.set("directory", volume.base);
  object.set("subvolume", volume.subvolume);
  if (!volume.dataset.empty()) {
    object.set("dataset", volume.dataset);
    object.set("token", volume.token);
  }
  if (volume.raw) {
    json::Object image;
    image.set("path", volume.raw->path);
    if (volume.kind == Kind::zvol) image.set("bytes", volume.raw->bytes);
    image.set("file_system", raw::file_system_name(volume.raw->file_system));
    object.set("raw", std::move(image));
  }
  return object;
}

Result<Volume> volume_from_json(const json::Value& value) {
  Volume volume;
  NX_TRY(volume.kind, parse_kind(value.text("kind")), "storage");
  volume.base = value.text("directory");
  const json::Value* subvolume = value.find("subvolume");
  volume.subvolume =
      subvolume != nullptr && subvolume->if_bool() != nullptr && *subvolume->if_bool();
  volume.dataset = value.text("dataset");
  volume.token = value.text("token");
  const json::Value* image = value.find("raw");
  if (image == nullptr) return volume;
  NX_TRY(const raw::FileSystem file_system, raw::parse_file_system(image->text("file_system")),
         "storage");
  const json::Value* bytes = image->find("bytes");
  volume.raw = Volume::Image{.path = image->text("path"),
                             .file_system = file_system,
                             .bytes = bytes != nullptr ? bytes->as_u64().value_or(0) : 0};
  return volume;
}

std::string generation_dir(const std::string& bundle, unsigned generation) {
  return bundle + "/generations/" + std::to_string(generation);
}

Result<Volume> plan_volume(const Choice& choice, const std::string& id, const std::string& bundle,
                           unsigned generation) {
  Volume volume{.kind = choice.kind, .base = {}, .dataset = {}, .token = {}, .raw = {}};
  const bool is_first = generation == 1;
  const std::string later = generation_dir(bundle, generation);
  switch (choice.kind) {
    case Kind::bundle:
      return volume;
    case Kind::local:
      volume.base = choice.raw ? bundle : bundle + "/upper";
      if (!is_first) volume.base = later;
      break;
    case Kind::directory:
      volume.base = choice.location + "/" + directory_name(id, generation);
      NX_CHECK(refuse_existing(volume.base));
      break;
    case Kind::zfs:
      NX_CHECK(plan_dataset(choice, id, generation, volume));
      if (choice.raw) volume.base = is_first ? bundle + "/" + id + "/storage" : later;
      break;
    case Kind::zvol:
      NX_CHECK(plan_dataset(choice, id, generation, volume));
      break;
  }
  if (choice.kind == Kind::zvol) {
    if (!choice.raw) return fail(Errc::InvalidSpec, "a ZFS volume without a file system");
    volume.raw = Volume::Image{
        .path = {}, .file_system = choice.raw->file_system, .bytes = choice.raw->bytes};
  } else if (choice.raw) {
    volume.raw = Volume::Image{.path = volume.base + "/" + id + ".raw",
                               .file_system = choice.raw->file_system};
    NX_CHECK(refuse_existing(volume.raw->path));
  } else if (choice.kind != Kind::zfs) {
    NX_CHECK(plan_directory(volume));
  }
  return volume;
}

Result<> make_volume(const Volume& volume) {
  if (volume.kind == Kind::zvol) return make_zvol(volume);
  if (volume.base.empty()) return {};
  NX_CHECK(sys::mkdirs(volume.base, kPrivate));
  if (volume.kind == Kind::zfs) return make_dataset(volume);
  if (volume.subvolume) return make_subvolume(volume);
  return {};
}

Result<> make_file_system(const Volume& volume, const raw::ImageSpec& spec,
                          const std::string& tree) {
  NX_TRY(const std::string path, image_path(volume));
  if (volume.kind == Kind::zvol) return raw::fill_device(path, spec, tree);
  return raw::make_image(path, spec, tree);
}

Result<> remove_volume(const Volume& volume) {
  if (!volume.dataset.empty()) {
    if (!volume.base.empty()) NX_CHECK(sys::unmount(volume.base));
    NX_TRY(const zfs::OwnedDataset owned, zfs::OwnedDataset::parse(volume.dataset, volume.token));
    return owned.destroy();
  }
  if (volume.raw) {
    NX_CHECK(sys::remove_file(AT_FDCWD, volume.raw->path));
    NX_CHECK(sys::remove_tree(volume.snapshots()));
    // A local image lies in the bundle, which somebody else may have made.
    if (volume.kind == Kind::local) return {};
  }
  if (volume.base.empty()) return {};
  return sys::remove_tree(volume.base);
}

}  // namespace nexcage::storage
