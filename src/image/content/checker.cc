#include "nexcage/image/content/checker.h"

#include <set>

#include "nexcage/image/content/verifier.h"

namespace nexcage::image::content {

Result<StoreCheck> run_check(const Layout& layout) {
  NX_TRY(auto blobs_lock, layout.share_blobs());
  NX_TRY(const oci::Index index, layout.read_index());
  StoreCheck check;
  BlobResults known;
  std::set<oci::Digest> seen;
  for (const oci::Descriptor& entry : index.manifests) {
    if (!seen.insert(entry.digest).second) continue;
    ++check.images;
    const VerifyReport report = verify_entry(layout, entry, known);
    for (const BlobCheck& blob : report.blobs)
      if (blob.error)
        check.damages.push_back(
            {.entry = entry.digest, .blob = blob.digest, .what = blob.what, .error = *blob.error});
  }
  for (const auto& [digest, result] : known) {
    ++check.blobs;
    check.bytes += result.size;
  }
  return check;
}

}  // namespace nexcage::image::content
