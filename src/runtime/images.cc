#include "nexcage/runtime/images.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "nexcage/base/log.h"
#include "nexcage/runtime/layers.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

/// Id of a container whose info.json names this manifest; empty when there is none.
Result<std::string> user_of(const oci::Digest& manifest, const Settings& settings) {
  auto dir = sys::open_at(AT_FDCWD, settings.images + "/containers", O_RDONLY | O_DIRECTORY);
  if (!dir) {
    if (dir.error().sys_errno() == ENOENT) return std::string();
    return std::unexpected(std::move(dir).error());
  }
  NX_TRY(auto ids, sys::list_dir(dir->get()));
  for (const std::string& id : ids) {
    auto text = sys::read_file(dir->get(), id + "/info.json");
    if (!text) continue;
    auto info = json::parse(*text);
    if (!info) continue;
    if (info->text("image_digest") == manifest.str()) return id;
  }
  return std::string();
}

}  // namespace

Result<RemovedImage> remove_image(const std::string& what, InUse in_use, Services& with) {
  NX_TRY(auto store, image::Store::open(with.settings.images, image::Store::IfMissing::create));
  auto found = store.resolve(what);
  const bool last_name = found && found->names.size() <= 1;
  if (last_name && in_use == InUse::refuse) {
    NX_TRY(std::string user, user_of(found->manifest_descriptor.digest, with.settings));
    if (!user.empty())
      return fail(Error(Errc::InvalidState, "image " + what + " is used by container " + user)
                      .hint("delete the container first, or give --force"));
  }
  RemovedImage removed;
  NX_TRY(removed.from_store, store.remove(what));
  if (removed.from_store.blobs.empty()) return removed;
  // The image is gone already: layers that stay behind cost space, not correctness.
  if (auto freed = collect_layers(store, with, false))
    removed.layers = std::move(*freed);
  else
    log::warning(freed.error().message());
  return removed;
}

}  // namespace nexcage::runtime
