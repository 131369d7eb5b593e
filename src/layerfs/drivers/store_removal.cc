// Taking prepared things away.
#include <utility>

#include "nexcage/layerfs/drivers/layer_store.h"
#include "nexcage/layerfs/drivers/mount_refs.h"

namespace nexcage::layerfs {

namespace {

Result<std::uint64_t> remove_one(const LayerStore& store, const std::string& key,
                                 const MountRefs::Counts& in_use, const BytesOf& bytes_of) {
  NX_TRY(const bool there, sys::exists(store.fd(), key));
  if (!there || key.starts_with('.') || key.contains('/'))
    return fail(Errc::LayerError, "there is no prepared layer " + key);
  if (const auto used = in_use.find(key); used != in_use.end())
    return fail(Error(Errc::InvalidState, "prepared layer " + key + " is used by " +
                                              std::to_string(used->second) + " mounts")
                    .hint("delete the containers first"));
  const std::uint64_t bytes = bytes_of(key);
  NX_CHECK(store.discard(key));
  return bytes;
}

}  // namespace

std::vector<Result<std::uint64_t>> remove_keys(const LayerStore& store,
                                               std::span<const std::string> keys,
                                               const BytesOf& bytes_of) {
  std::vector<Result<std::uint64_t>> results;
  results.reserve(keys.size());
  const auto remove_all = [&]() -> Result<> {
    NX_TRY(const sys::FileLock lock, store.lock(sys::FileLock::Kind::exclusive));
    NX_TRY(const MountRefs refs, MountRefs::open(store.fd()));
    NX_TRY(const MountRefs::Counts in_use, refs.remove_stale());
    for (const std::string& key : keys) results.push_back(remove_one(store, key, in_use, bytes_of));
    return sys::fsync_fd(store.fd(), "the directory of layers");
  };
  auto removed = remove_all();
  if (removed) removed = store.remove_stale();
  if (!removed) results.assign(keys.size(), std::unexpected(removed.error()));
  return results;
}

}  // namespace nexcage::layerfs
