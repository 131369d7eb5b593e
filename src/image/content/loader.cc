#include "nexcage/image/content/loader.h"

#include "nexcage/base/testpoint.h"
#include "nexcage/image/content/importer.h"
#include "nexcage/image/names.h"

namespace nexcage::image::content {

namespace {

std::vector<oci::Reference> names_for(const SourceImage& image, const std::string& path) {
  if (!image.names.empty() || image.tag.empty()) return image.names;
  return {fallback_name(path.empty() ? "image" : path, image.tag)};
}

Result<std::vector<LoadedImage>> load_locked(const Layout& layout, const std::string& path,
                                             int input) {
  NX_TRY(auto blobs_lock, layout.share_blobs());
  NX_TRY(auto files,
         path.empty() ? open_archive_stream(input, layout) : open_archive(path, layout));
  NX_TRY(std::vector<SourceImage> images, read_all_images(files));
  if (images.empty()) return fail(Errc::ImageNotFound, "the archive lists no image");
  NX_TRY(PendingBlobs pending, PendingBlobs::create(layout));
  BlobWriter writer(layout, pending);
  std::vector<Named> named;
  std::vector<LoadedImage> loaded;
  for (SourceImage& image : images) {
    NX_TRY(oci::Descriptor manifest, write_image({}, image, writer));
    loaded.push_back({.manifest = manifest.digest, .names = names_for(image, path)});
    named.push_back({.manifest = std::move(manifest), .names = loaded.back().names});
  }
  testpoint("load-blobs");
  NX_CHECK(name_manifests(layout, named));
  pending.done();
  return loaded;
}

}  // namespace

Result<std::vector<LoadedImage>> run_load(const Layout& layout, const std::string& path,
                                          int input) {
  return between_sweeps(layout, [&] { return load_locked(layout, path, input); });
}

}  // namespace nexcage::image::content
