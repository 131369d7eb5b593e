// Making names for a manifest whose blobs are all in the store.
#pragma once

#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/layout.h"
#include "nexcage/oci/reference.h"

namespace nexcage::image {

/// A manifest and the names it is to have; without any it is listed bare.
struct Named {
  oci::Descriptor manifest;
  std::vector<oci::Reference> names;
};

/// Gives all of them their names in one atomic and durable change of index.json, then brings the
/// view in line. The caller holds share_blobs().
Result<> name_manifests(const Layout& layout, const std::vector<Named>& all);

/// sync_views, with a warning in the place of an error: that the view lags behind is no reason to
/// fail what has happened to the index.
void sync_views_or_warn(const Layout& layout, const oci::Index& index);

}  // namespace nexcage::image
