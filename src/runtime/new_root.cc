#include "nexcage/runtime/new_root.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/base/text.h"
#include "nexcage/runtime/exchange.h"
#include "nexcage/runtime/id_maps.h"
#include "nexcage/runtime/kept.h"
#include "nexcage/runtime/kept_request.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/prepared.h"
#include "nexcage/storage/copy_tree.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::runtime {
namespace {

std::string staging(const std::string& bundle) { return update_places(bundle)[0]; }
std::string former_place(const std::string& bundle) { return update_places(bundle)[1]; }

/// Copying through the id maps of a whole mount: cp(1) is a user whom the maps do not have.
Result<> check_volumes(const Resolved& next, const std::vector<std::string>& volumes) {
  if (volumes.empty() || !has_id_maps(next.spec)) return {};
  const bool is_mapped_whole =
      next.storage.raw.has_value() || next.storage.kind == storage::Kind::zfs;
  if (!is_mapped_whole) return {};
  return fail(Error(Errc::Unsupported,
                    "the image declares volumes, " + join(volumes, " ") +
                        ", which cannot be copied through the container's id maps on this storage")
                  .hint("make a new container, with mounts for its data"));
}

/// info.json of the container with this root, started or not.
Result<std::string> info_text(const Stored& stored, const std::string& bundle,
                              const Settings& settings) {
  const std::string& id = stored.request->id;
  const std::string file = Paths(settings).info_dir(id) + "/info.json";
  NX_TRY(const std::string text, sys::read_file(AT_FDCWD, file, json::Limits{}.max_bytes));
  NX_TRY(json::Value document, json::parse(text), file);
  if (document.if_object() == nullptr) return fail(Errc::InvalidJson, file + ": is no object");
  json::Object& info = *document.if_object();
  info.set("image", stored.image_name);
  info.set("image_digest", stored.verified->manifest_descriptor.digest.str());
  info.erase("layerfs");
  if (stored.layers) {
    layerfs::MountRecord layers = *stored.layers;
    layers.at.target = Paths::layers_mount(bundle, id);
    info.set("layerfs", layerfs::to_json(layers));
  }
  info.set("storage", storage::to_json(stored.volume));
  return json::dump(document, json::Style::pretty) + "\n";
}

/// Phases 3 to 5, in a bundle of their own, so that the container's mounts stay what they are.
Result<Stored> build(Resolved next, const std::string& place, Services& with) {
  next.bundle = place;
  NX_CHECK(next.undo.will_create_dir(place));
  // One that was cut short when the machine went down.
  NX_CHECK(sys::remove_tree(place));
  NX_CHECK(sys::mkdirs(place, kTreeMode));
  testpoint("update-begun");
  NX_TRY(Mounted mounted, mount_layers(std::move(next), with));
  testpoint("update-layers");
  NX_TRY(Rooted rooted, assemble_rootfs(std::move(mounted)));
  NX_TRY(Stored stored, settle_storage(std::move(rooted), with));
  testpoint("update-made");
  return stored;
}

/// The contents of one directory take the place of those of the other.
Result<> replace_contents(int from, int to) {
  NX_TRY(const auto names, sys::list_dir(to));
  for (const std::string& name : names) NX_CHECK(sys::remove_tree(to, name));
  // cp(1) is another process: to it "self" is somebody else.
  return storage::copy_tree("/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(from),
                            sys::fd_path(to));
}

Result<> carry_volume(int old_root, int new_root, const std::string& volume) {
  auto from = sys::open_in_root(old_root, volume, O_RDONLY | O_DIRECTORY);
  if (!from && (from.error().sys_errno() == ENOENT || from.error().sys_errno() == ENOTDIR))
    return {};  // the container has removed it
  if (!from) return fail(std::move(from).error());
  NX_TRY(const UniqueFd place, sys::mkdirs_in_root(new_root, volume, 0755));
  NX_TRY(const UniqueFd to, sys::reopen(place.get(), O_RDONLY | O_DIRECTORY));
  return replace_contents(from->get(), to.get());
}

}  // namespace

std::array<std::string, 2> update_places(const std::string& bundle) {
  // Not one within the other: each has a log of its own, and they are undone one after the other.
  return {bundle + "/update", bundle + "/former"};
}

Result<NewRoot> make_root(const std::string& id, const std::string& image, unsigned number,
                          FileUndoLog& log, Services& with) {
  const std::string bundle = Paths(with.settings).bundle(id);
  NX_TRY(Request request, read_request(bundle));
  NX_TRY(KeptSource kept, read_source(bundle));
  if (!image.empty()) kept.source.image = image;
  NX_TRY(Resolved next, load_bundle(request, std::move(log), with));
  next.image = &kept.source;
  NX_CHECK(take_image(next, with));
  NX_CHECK(check_volumes(next, kept.volumes));
  NewRoot made{.files = {.config = json::dump(oci::to_json(next.spec), json::Style::pretty) + "\n",
                         .request = request_text(next),
                         .info = {}},
               .number = number,
               .volume = {},
               .rootfs = {},
               .layers = {},
               .old_volumes = std::move(kept.volumes)};
  NX_TRY(made.volume, storage::plan_volume(next.storage, id, bundle, number));
  next.planned = made.volume;
  NX_CHECK(begin_exchange(bundle, {.before = {}, .volume = made.volume, .generation = number}));
  NX_TRY(Stored stored, build(std::move(next), staging(bundle), with));
  NX_TRY(made.files.info, info_text(stored, bundle, with.settings));
  made.rootfs = stored.rootfs;
  made.layers = stored.layers;
  log = std::move(stored.undo);
  return made;
}

Result<> let_go(const NewRoot& root, const std::string& id, const Settings& settings) {
  NX_CHECK(sys::unmount(root.rootfs));
  if (root.layers) NX_CHECK(layerfs::undo_mount(settings.layers, *root.layers));
  return sys::remove_tree(staging(Paths(settings).bundle(id)));
}

Result<> carry_volumes(const NewRoot& root, const std::string& id, Services& with) {
  if (root.old_volumes.empty()) return {};
  const Paths paths(with.settings);
  NX_TRY(FileUndoLog log, FileUndoLog::create(paths.undo_dir(), id + "@former"));
  NX_TRY(const Kept kept, load_kept(id, with.settings));
  if (!kept.volume) return fail(Errc::InvalidState, "info.json does not say where its files are");
  NX_TRY(Request request, read_request(paths.bundle(id)));
  NX_TRY(Resolved old, load_bundle(request, std::move(log), with));
  NX_TRY(const auto in_memory, tmpfs_upper(old.spec));
  if (in_memory) return {};  // it went with the container's run
  old.former = Former{.created = {},
                      .layerfs = kept.layers ? kept.layers->driver : std::string(),
                      .volume = *kept.volume};
  // It goes with the log, whatever comes.
  NX_TRY(Stored mounted, build(std::move(old), former_place(paths.bundle(id)), with));
  NX_TRY(const UniqueFd from, sys::open_at(AT_FDCWD, mounted.rootfs, O_PATH | O_DIRECTORY));
  NX_TRY(const UniqueFd to, sys::open_at(AT_FDCWD, root.rootfs, O_PATH | O_DIRECTORY));
  for (const std::string& volume : root.old_volumes)
    NX_CHECK(carry_volume(from.get(), to.get(), volume), "take volume " + volume + " along");
  return mounted.undo.roll_back();
}

}  // namespace nexcage::runtime
