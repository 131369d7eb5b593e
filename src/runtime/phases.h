// The values that the nine phases of creation hand on, and the phases themselves. Each phase takes
// the product of the one before; nothing reaches back. Whatever a phase makes it first writes into
// the undo log, which travels along in `Checked`. The order is in create.cc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/network/options.h"
#include "nexcage/oci/spec.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/undo.h"
#include "nexcage/storage/select.h"
#include "nexcage/storage/volume.h"
#include "nexcage/sys/mount.h"

namespace nexcage::runtime {

/// What a container that is made again has of its former run. Its bundle, what it wrote, its state
/// directory and info.json are there, and stay whatever happens.
struct Former {
  std::string created;  // RFC 3339: when it was made first
  std::string layerfs;  // the driver that its storage belongs to; empty: it is an image file
  storage::Volume volume;
};

/// Phase 1: the request makes sense, the id is reserved.
struct Checked {
  const Request* request = nullptr;  // lives as long as the flow
  FileUndoLog undo;
  std::string bundle;       // absolute
  std::string backend;      // decided
  storage::Choice storage;  // decided
  oci::Spec spec;           // OCI form: complete; image form: annotations and mounts only
  const ImageSource* image = nullptr;  // image form
  /// Image form: the options with the configured default filled in, and what they mean.
  network::Options network_options;
  std::optional<network::Wanted> network;
  std::string spec_file, spec_text{};  // OCI form: what the spec was read from
  std::optional<Former> former{};      // a stopped container that is started: it is made again
  /// An update: what holds the new root's writes. Otherwise phase 3 plans it from the choice.
  std::optional<storage::Volume> planned{};
  layerfs::Storage storage_state() const {
    return former ? layerfs::Storage::kept : layerfs::Storage::fresh;
  }
};

/// Phase 2: the spec is complete; the image (image form only) is verified.
struct Resolved : Checked {
  std::optional<image::Store> store;
  std::optional<image::Image> verified;
  std::string image_name;            // as shown to people
  std::string user;                  // still to be looked up in the file system
  std::vector<std::string> volumes;  // directories the image declares
};

/// The root file system of a container that mounts it itself, in a kernel of its own.
struct DiskRoot {
  std::vector<layerfs::StackImage> images;
  UniqueFd upper;
  backends::RootDisks disks;  // what the backend is told; refers to the others
};

/// Phase 3: the layers are mounted (image form), or nothing is to be done (OCI form).
struct Mounted : Resolved {
  std::optional<layerfs::MountRecord> layers;
  storage::Volume volume;  // planned; made as far as the layers need it
  /// With it the layers are mounted, read-only, only until phase 5 has looked at them.
  std::optional<DiskRoot> disk_root{};
};

/// Phase 4: the container's root file system.
struct Rooted : Mounted {
  std::string rootfs;  // absolute
};

/// Phase 5: the storage that holds what the container writes. With an image file that is now the
/// root file system, filled from the layers, which are mounted no longer.
struct Stored : Rooted {
  bool spec_changed = false;  // the spec is no longer what spec_text says
};

/// Phase 6: the backend's configuration, checked, nothing touched yet.
struct Ready : Stored {
  std::string state_dir;
  std::unique_ptr<backends::Backend> handler;
  std::unique_ptr<oci::Spec> final_spec;  // stable address: `configured` refers to it
  /// With the network `user`; likewise. Its ports are chosen in phase 8.
  std::unique_ptr<backends::UserNetwork> user_network{};
  std::string config_text;  // for {state_dir}/config.json
  std::unique_ptr<backends::Configured> configured;
};

/// Phase 7: metadata and the state "creating" are on disk. Phase 8 adds the network.
struct Registered : Ready {
  backends::Record record;
  json::Value network_info;  // for info.json; null: none
};

/// Phase 8: hooks ran, the init waits for `start`.
struct Made : Registered {
  UniqueFd pty_master;
};

/// The config.json of a bundle, parsed.
Result<oci::Spec> read_bundle_spec(const BundleSource& source, const Settings& settings);

Result<Checked> check_request(const Request& request, Services& with);  // 1
Result<Resolved> resolve_image(Checked checked, Services& with);        // 2
/// The part of phase 2 that an update repeats: the image of `resolved.image`, which must be set, is
/// found and verified, and the spec made from it. Nothing is written.
Result<> take_image(Resolved& resolved, Services& with);
Result<Mounted> mount_layers(Resolved resolved, Services& with);            // 3
Result<Rooted> assemble_rootfs(Mounted mounted);                            // 4
Result<Stored> settle_storage(Rooted rooted, Services& with);               // 5
Result<Ready> configure_backend(Stored stored, Services& with);             // 6
Result<Registered> write_metadata(Ready ready, Services& with);             // 7
Result<Registered> connect_network(Registered registered, Services& with);  // 8
Result<Made> create_environment(Registered registered, Services& with);     // 8
Result<Container> publish(Made made);                                       // 9

/// Bytes of a tmpfs for what the container writes, when the annotation asks for one. InvalidSpec.
Result<std::optional<std::uint64_t>> tmpfs_upper(const oci::Spec& spec);
/// Phase 3 for a backend that takes disks (phase_disks.cc).
Result<Mounted> open_disks(Mounted mounted, Services& with);
/// Phase 5 for it: the upper is made, the layers are looked at no more.
Result<Stored> settle_disks(Stored stored, Services& with);

/// The container's root file system, mounted from its image file; what a crash left in it is
/// repaired first.
Result<sys::DetachedMount> open_image(const storage::Volume& volume);
/// Attaches it at {bundle}/{id}/rootfs, seen through the container's id maps.
Result<std::string> attach_root(Mounted& mounted, const sys::DetachedMount& tree);

/// {images}/containers/{id}/info.json, with what is known so far.
Result<> save_info(const Registered& made, const Settings& settings);

}  // namespace nexcage::runtime
