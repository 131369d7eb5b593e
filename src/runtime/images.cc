#include "nexcage/runtime/images.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "nexcage/base/log.h"
#include "nexcage/runtime/generations.h"
#include "nexcage/runtime/layers.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

/// The container may be rolled back to a root of this manifest.
bool is_of_earlier_root(const std::string& id, const oci::Digest& manifest,
                        const Settings& settings) {
  const auto generations = load_generations(Paths(settings).bundle(id));
  return generations && std::ranges::any_of(generations->earlier, [&](const Generation& one) {
           return one.digest == manifest.str();
         });
}

/// Id of a container that has this manifest, or had it before an update that can be taken back;
/// empty when there is none.
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
    if (is_of_earlier_root(id, manifest, settings)) return id;
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
