// Takes an image from a source into the store: the whole of `image import`, run by the helper.
#pragma once

#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/import.h"
#include "nexcage/image/layout.h"

namespace nexcage::image::content {

struct Imported {
  oci::Descriptor manifest;
  std::vector<oci::Reference> names;
};

/// All or nothing: until the last step, the change of index.json, nothing of the image can be seen,
/// and after a failure or a kill what was written is removed by this or the next command. Errors as
/// import_image().
Result<Imported> run_import(const Layout& layout, const ImportRequest& request);

/// Config and manifest of an image that is made here (pure but for the time).
std::string make_config(const RootfsConfig& rootfs, const oci::Digest& diff_id);
std::string make_manifest(const oci::Descriptor& config,
                          const std::vector<oci::Descriptor>& layers);

}  // namespace nexcage::image::content
