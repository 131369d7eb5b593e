#include "nexcage/image/garbage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <set>

#include "nexcage/image/lease.h"
#include "nexcage/image/load.h"

namespace nexcage::image {

namespace {

constexpr std::array<std::string_view, 2> kAlgorithms = {"sha256", "sha512"};

Result<std::set<oci::Digest>> needed_blobs(const Layout& layout) {
  NX_TRY(const oci::Index index, layout.read_index());
  NX_TRY(std::set<oci::Digest> needed, leased_blobs(layout));
  for (const oci::Descriptor& entry : index.manifests)
    NX_CHECK(collect_blobs(layout, entry, needed));
  return needed;
}

/// Plain files among the blobs whose name is a digest that nobody needs. Other names are not ours.
Result<std::vector<FreedBlob>> orphans(const Layout& layout) {
  NX_TRY(const std::set<oci::Digest> needed, needed_blobs(layout));
  std::vector<FreedBlob> found;
  for (const std::string_view algorithm : kAlgorithms) {
    const std::string name = "blobs/" + std::string(algorithm);
    auto dir = sys::open_at(layout.fd(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir && dir.error().sys_errno() == ENOENT) continue;
    if (!dir) return fail(std::move(dir).error());
    NX_TRY(const auto entries, sys::list_dir(dir->get()));
    for (const std::string& hex : entries) {
      auto digest = oci::Digest::parse(std::string(algorithm) + ":" + hex);
      if (!digest || needed.contains(*digest)) continue;
      NX_TRY(const auto status, sys::stat_at(dir->get(), hex));
      if (status && S_ISREG(status->st_mode))
        found.push_back(
            {.digest = *std::move(digest), .size = static_cast<std::uint64_t>(status->st_size)});
    }
  }
  return found;
}

Result<Garbage> look(const Layout& layout) {
  Garbage garbage;
  NX_TRY(garbage.blobs, orphans(layout));
  NX_TRY(auto staging, idle_staging(layout));
  for (StagingFile& file : staging)
    (file.age >= kGivenUpAfter ? garbage.staging : garbage.resumable).push_back(std::move(file));
  return garbage;
}

Result<sys::FileLock> own_blobs(const Layout& layout) {
  NX_TRY(auto own, layout.try_own_blobs());
  if (own) return *std::move(own);
  return fail(Error(Errc::InvalidState, "somebody is adding blobs to the store just now")
                  .hint("try again when it is done"));
}

}  // namespace

Result<Garbage> find_garbage(const Layout& layout) {
  NX_TRY(const auto own, own_blobs(layout));
  return look(layout);
}

Result<Garbage> remove_garbage(const Layout& layout) {
  // Lists of what commands were about to do go first, and temporary files.
  NX_TRY(auto swept, sweep(layout));
  NX_TRY(const auto own, own_blobs(layout));
  NX_TRY(Garbage garbage, look(layout));
  for (const FreedBlob& blob : garbage.blobs)
    NX_CHECK(sys::remove_file(layout.fd(), blob.digest.blob_path()),
             "remove blob " + blob.digest.str());
  std::erase_if(garbage.staging, [&](const StagingFile& file) {
    auto removed = remove_staging(layout, file);
    return !removed || !*removed;
  });
  garbage.blobs.insert(garbage.blobs.end(), swept.begin(), swept.end());
  return garbage;
}

}  // namespace nexcage::image
