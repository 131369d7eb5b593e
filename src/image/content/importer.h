// Takes an image from a source into the store: the whole of `image import`, run by the helper.
#pragma once

#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/log.h"
#include "nexcage/image/content/blob_writer.h"
#include "nexcage/image/content/source.h"
#include "nexcage/image/import.h"
#include "nexcage/image/layout.h"
#include "nexcage/image/pending.h"

namespace nexcage::image::content {

struct Imported {
  oci::Descriptor manifest;
  std::vector<oci::Reference> names;
};

/// All or nothing: until the last step, the change of index.json, nothing of the image can be seen,
/// and after a failure or a kill what was written is removed by this or the next command. Errors as
/// import_image().
Result<Imported> run_import(const Layout& layout, const ImportRequest& request);

/// Streams all blobs of the image in, the manifest last, and makes their names durable. The caller
/// holds share_blobs() until the manifest has its names.
Result<oci::Descriptor> write_image(const RootfsConfig& rootfs, SourceImage& image,
                                    BlobWriter& writer);

/// Runs `take_in` between two sweeps: of what others left, and of what its own failure left.
template <class Function>
auto between_sweeps(const Layout& layout, Function take_in) -> decltype(take_in()) {
  if (auto swept = sweep(layout); !swept) log::warning("image store: " + swept.error().message());
  auto result = take_in();
  auto swept = sweep(layout);
  if (!swept && result) log::warning("image store: " + swept.error().message());
  if (!swept && !result) return fail(std::move(result).error().also(std::move(swept).error()));
  return result;
}

/// Config and manifest of an image that is made here (pure but for the time).
std::string make_config(const RootfsConfig& rootfs, const oci::Digest& diff_id);
std::string make_manifest(const oci::Descriptor& config,
                          const std::vector<oci::Descriptor>& layers);

}  // namespace nexcage::image::content
