#include "nexcage/layerfs/drivers/erofs_files.h"

#include <utility>

#include "nexcage/layerfs/drivers/erofs_store.h"
#include "nexcage/layerfs/drivers/mount_refs.h"

namespace nexcage::layerfs::erofs_driver {
namespace {

Prepared damaged(const std::string& key) { return {.key = key, .kind = "damaged"}; }

Prepared describe_tar(const LayerStore& store, const std::string& key) {
  const auto info = find_tar(store, key);
  if (!info || !*info) return damaged(key);
  Prepared one{.key = key,
               .kind = "tar",
               .bytes = (*info)->bytes,
               .entries = (*info)->entries,
               .diff_ids = {(*info)->diff_id}};
  return one;
}

Prepared describe_image(const LayerStore& store, const std::string& key) {
  const auto info = find_image(store, key);
  if (!info || !*info) return damaged(key);
  Prepared one{.key = key,
               .kind = std::string(form_name((*info)->form)),
               .bytes = (*info)->bytes,
               .entries = (*info)->entries,
               .diff_ids = (*info)->diff_ids,
               .chain_id = oci::Digest::from_hex("sha256", std::string_view(key).substr(2)),
               .parent = (*info)->parent};
  return one;
}

Prepared describe(const LayerStore& store, const std::string& key) {
  return is_tar_key(key) ? describe_tar(store, key) : describe_image(store, key);
}

/// What done.json says of a prepared file.
struct Kept {
  oci::Digest digest;
  std::uint64_t bytes = 0;
  std::string verity;
};

Result<Kept> find_kept(const LayerStore& store, const std::string& key) {
  const auto missing = [&] { return fail(Errc::LayerError, "there is no prepared layer " + key); };
  if (is_tar_key(key)) {
    NX_TRY(auto tar, find_tar(store, key));
    if (!tar) return missing();
    return Kept{.digest = tar->diff_id, .bytes = tar->bytes, .verity = tar->verity};
  }
  NX_TRY(auto image, find_image(store, key));
  if (!image) return missing();
  return Kept{.digest = image->digest, .bytes = image->bytes, .verity = image->verity};
}

/// Compares a prepared file, whose digest was computed, with its done.json; what a mount would
/// refuse is not in order either.
Result<> check_file(const LayerStore& store, const std::string& key,
                    const Result<oci::Digest>& found) {
  NX_TRY(const Kept kept, find_kept(store, key));
  if (kept.digest.algorithm() != "sha256")
    return fail(Errc::Unsupported,
                key + " has a digest of " + std::string(kept.digest.algorithm()));
  if (!found) return std::unexpected(found.error());
  if (*found != kept.digest)
    return fail(store.damaged(
        key, Error(Errc::LayerError,
                   "has digest " + found->str() + " instead of " + kept.digest.str())));
  NX_CHECK(open_checked(store, key, kept.bytes, kept.verity));
  return {};
}

}  // namespace

Result<std::vector<Prepared>> list_files(const LayerStore& store) {
  NX_TRY(const MountRefs refs, MountRefs::open(store.fd()));
  NX_TRY(MountRefs::Counts in_use, refs.in_use());
  NX_TRY(const std::vector<std::string> keys, store.keys());
  std::vector<Prepared> all;
  all.reserve(keys.size());
  for (const std::string& key : keys) {
    Prepared one = describe(store, key);
    one.references = in_use[key];
    all.push_back(std::move(one));
  }
  return all;
}

std::vector<Result<>> verify_files(const Result<LayerStore>& store,
                                   std::span<const std::string> keys, const Hasher& hash) {
  const auto run = [&]() -> Result<std::vector<Result<>>> {
    if (!store) return std::unexpected(store.error());
    const LayerStore& layers = *store;
    std::vector<std::string> paths;
    for (const std::string& key : keys)
      paths.push_back(layers.path() + "/" + key + "/" + file_of(key));
    NX_TRY(const auto found, hash(paths));
    std::vector<Result<>> results;
    results.reserve(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i)
      results.push_back(check_file(layers, keys[i], found.at(i)));
    return results;
  };
  auto results = run();
  if (!results) return {keys.size(), std::unexpected(results.error())};
  return *std::move(results);
}

std::vector<Result<std::uint64_t>> remove_files(const Result<LayerStore>& store,
                                                std::span<const std::string> keys) {
  if (!store) return {keys.size(), std::unexpected(store.error())};
  return remove_keys(*store, keys,
                     [&](const std::string& key) { return describe(*store, key).bytes; });
}

}  // namespace nexcage::layerfs::erofs_driver
