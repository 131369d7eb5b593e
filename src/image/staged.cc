#include "nexcage/image/staged.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <set>

#include "nexcage/base/testpoint.h"
#include "nexcage/image/load.h"
#include "nexcage/image/pending.h"
#include "nexcage/image/sha256.h"

namespace nexcage::image {

namespace {

constexpr std::string_view kDone = ".done";
constexpr std::string_view kMap = ".map";

std::string done_name(const oci::Digest& digest) {
  return std::string(digest.algorithm()) + "-" + std::string(digest.hex()) + std::string(kDone);
}

bool is_blob(const struct stat& found, std::uint64_t size) {
  return S_ISREG(found.st_mode) && static_cast<std::uint64_t>(found.st_size) == size;
}

/// A damaged document is removed, so that it comes again: a blob that no image needed may have lain
/// here for long. Layers are verified when they are unpacked.
Result<bool> is_stored(const Layout& layout, const StagedBlob& blob) {
  NX_TRY(auto found, sys::stat_at(layout.fd(), blob.digest.blob_path()));
  if (!found || !is_blob(*found, blob.size)) return false;
  if (!blob.document || blob.digest.algorithm() != "sha256") return true;
  NX_TRY(const std::string text, sys::read_file(layout.fd(), blob.digest.blob_path()));
  if (sha256_digest(text) == blob.digest) return true;
  NX_CHECK(sys::remove_file(layout.fd(), blob.digest.blob_path()));
  return false;
}

/// Renames one blob into place; false when it is not in the staging directory.
Result<bool> take_in(const Layout& layout, int staging, const StagedBlob& blob) {
  const std::string name = done_name(blob.digest);
  // The process that wrote it reads what strangers send: what it leaves is looked at, too.
  auto file = sys::open_at(staging, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file && file.error().sys_errno() == ENOENT) return false;
  if (!file) return fail(std::move(file).error().wrap(name));
  NX_TRY(const struct stat found, sys::stat_fd(file->get()), name);
  if (!is_blob(found, blob.size) || found.st_nlink != 1)
    return fail(Errc::InvalidImage, name + ": is no plain file of the blob's size");
  NX_TRY(UniqueFd dir, layout.blob_dir(blob.digest.algorithm()));
  const std::string hex(blob.digest.hex());
  if (::renameat(staging, name.c_str(), dir.get(), hex.c_str()) != 0) {
    if (errno == ENOENT) return false;
    return fail_errno("move blob " + blob.digest.str() + " into the store");
  }
  NX_TRY(const auto moved, sys::stat_at(dir.get(), hex));
  if (moved && moved->st_ino == found.st_ino && moved->st_dev == found.st_dev) return true;
  NX_CHECK(sys::remove_file(dir.get(), hex));
  return fail(Errc::InvalidImage, name + ": was replaced while it was moved into the store");
}

/// Makes the new names durable.
Result<> sync_blobs(const Layout& layout, const std::set<std::string>& algorithms) {
  if (algorithms.empty()) return {};
  for (const std::string& algorithm : algorithms) {
    NX_TRY(UniqueFd dir, layout.blob_dir(algorithm));
    NX_CHECK(sys::fsync_fd(dir.get(), "blobs/" + algorithm));
  }
  NX_TRY(UniqueFd blobs, sys::open_at(layout.fd(), "blobs", O_RDONLY | O_DIRECTORY));
  return sys::fsync_fd(blobs.get(), "blobs");
}

Result<Committed> take_all_in(const Layout& layout, const std::vector<StagedBlob>& blobs) {
  auto staging =
      sys::open_at(layout.fd(), std::string(kStagingDir), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!staging && staging.error().sys_errno() != ENOENT) return fail(std::move(staging).error());
  std::set<std::string> algorithms;
  for (const StagedBlob& blob : blobs) {
    if (staging) {
      NX_TRY(const bool taken, take_in(layout, staging->get(), blob));
      if (taken) algorithms.emplace(blob.digest.algorithm());
      if (taken) continue;
    }
    NX_TRY(const bool stored, is_stored(layout, blob));
    if (!stored) return Committed::blobs_missing;
  }
  NX_CHECK(sync_blobs(layout, algorithms));
  return Committed::yes;
}

Result<> note_all(PendingBlobs& pending, const std::vector<StagedBlob>& blobs) {
  std::vector<oci::Digest> digests;
  digests.reserve(blobs.size());
  for (const StagedBlob& blob : blobs) digests.push_back(blob.digest);
  return pending.add(digests);
}

}  // namespace

Result<Committed> commit_staged(const Layout& layout, const std::vector<StagedBlob>& blobs,
                                const Named& named) {
  NX_TRY(auto lock, layout.share_blobs());
  NX_TRY(PendingBlobs pending, PendingBlobs::create(layout));
  NX_CHECK(note_all(pending, blobs));
  testpoint("commit-noted");
  NX_TRY(const Committed moved, take_all_in(layout, blobs));
  if (moved != Committed::yes) return moved;
  testpoint("commit-blobs");
  NX_CHECK(load_image(layout, named.manifest));
  NX_CHECK(name_manifests(layout, {named}));
  testpoint("commit-named");
  pending.done();
  return Committed::yes;
}

Result<Committed> commit_blobs(const Layout& layout, const std::vector<StagedBlob>& blobs) {
  NX_TRY(auto lock, layout.share_blobs());
  NX_TRY(PendingBlobs pending, PendingBlobs::create(layout));
  NX_CHECK(note_all(pending, blobs));
  return take_all_in(layout, blobs);
}

Result<std::vector<StagingFile>> idle_staging(const Layout& layout) {
  std::vector<StagingFile> files;
  auto staging =
      sys::open_at(layout.fd(), std::string(kStagingDir), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!staging && staging.error().sys_errno() == ENOENT) return files;
  if (!staging) return fail(std::move(staging).error());
  NX_TRY(auto names, sys::list_dir(staging->get()));
  const std::set<std::string> known(names.begin(), names.end());
  const std::time_t now = std::time(nullptr);
  for (const std::string& name : names) {
    // The map belongs to the file beside it, and goes with it.
    if (name.ends_with(kMap) && known.contains(name.substr(0, name.size() - kMap.size()))) continue;
    NX_TRY(auto found, sys::stat_at(staging->get(), name));
    if (!found) continue;
    UniqueFd idle = lock_dead(staging->get(), name);
    if (!idle && S_ISREG(found->st_mode)) continue;
    files.push_back({.name = name,
                     .size = static_cast<std::uint64_t>(found->st_blocks) * 512,
                     .age = std::chrono::seconds(std::max<std::time_t>(0, now - found->st_mtime)),
                     .whole = name.ends_with(kDone)});
  }
  return files;
}

Result<bool> remove_staging(const Layout& layout, const StagingFile& file) {
  NX_TRY(UniqueFd staging,
         sys::open_at(layout.fd(), std::string(kStagingDir), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  NX_TRY(auto found, sys::stat_at(staging.get(), file.name));
  if (!found) return false;
  UniqueFd lock = lock_dead(staging.get(), file.name);
  if (!lock && S_ISREG(found->st_mode)) return false;
  // The map first: without it the file beside it is begun anew.
  NX_CHECK(sys::remove_tree(staging.get(), file.name + std::string(kMap)));
  NX_CHECK(sys::remove_tree(staging.get(), file.name));
  return true;
}

}  // namespace nexcage::image
