// What keeps a container's own writes, as its record holds it: from this value anybody can make it,
// mount it again, or take it away.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/storage/raw/image.h"
#include "nexcage/storage/select.h"

namespace nexcage::storage {

struct Volume {
  Kind kind = Kind::local;
  /// Directory of the container's own; zfs with an image: where the dataset is mounted. Empty for
  /// zfs without one, where the dataset is the root file system, and for a bundle left as it is.
  std::string base;
  /// {base}/volume is a btrfs subvolume, and holds the writes.
  bool subvolume = false;
  std::string dataset, token;  // zfs, zvol; the token as in zfs/owned.h
  struct Image {
    std::string path;  // empty for zvol: see image_path
    raw::FileSystem file_system{};
    std::uint64_t bytes = 0;  // zvol: what the volume is made with
  };
  std::optional<Image> raw;

  /// Directory for LayerFS' upper.
  std::string writable() const { return subvolume ? base + "/volume" : base; }
  /// Directory of snapshots that are files or subvolumes.
  std::string snapshots() const;
};

json::Value to_json(const Volume& volume);
/// InvalidJson naming the member that is missing or wrong.
Result<Volume> volume_from_json(const json::Value& value);

/// What is in it is whole after the machine went down: a file system of its own, with a journal or
/// without need of one. An overlayfs upper is not, which is mounted `volatile`.
bool survives(const Volume& volume);

/// Path of the file or block device that holds the file system of a volume with an image. A
/// volume's device is looked for anew: it has another name after each start of the machine.
Result<std::string> image_path(const Volume& volume);

/// What the choice means for a container: no names clash, nothing is made. On btrfs directories
/// become subvolumes. ContainerExists when its directory is there already. `generation`: a
/// container that was updated has several volumes, counted from 1.
Result<Volume> plan_volume(const Choice& choice, const std::string& id, const std::string& bundle,
                           unsigned generation = 1);
/// {bundle}/generations/{generation}: where what a later one has in the bundle lies.
std::string generation_dir(const std::string& bundle, unsigned generation);
/// Makes directory, subvolume, dataset with its mount, or a ZFS volume; what is there of it already
/// is kept. Not the image, and not the dataset that is a root file system: LayerFS clones it.
Result<> make_volume(const Volume& volume);
/// Makes the file system of a volume with an image, which make_volume has made, and fills it with
/// what is in the directory `tree`; empty: with nothing. Errors of raw::make_image.
Result<> make_file_system(const Volume& volume, const raw::ImageSpec& spec,
                          const std::string& tree);
/// Takes away all of it, with its snapshots. What is not there any more is success.
Result<> remove_volume(const Volume& volume);

}  // namespace nexcage::storage
