// The name view beside the layout:
// {registry}/{repository}/{tag}/{manifest.json,config.json,layers/} as relative links into blobs/.
// Derived from index.json, so it can be brought in line at any time.
#pragma once

#include <map>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/image/layout.h"

namespace nexcage::image {

/// Directory (relative to the store) of each name with a tag, and the manifest it shows. A name
/// whose directory would lie around that of another name ("a:b" beside "a/b:c") is not shown. Pure.
std::map<std::string, oci::Descriptor> plan_views(const oci::Index& index);

/// Makes the view what the index says. A directory appears, changes and goes as a whole. The caller
/// holds the index lock. An image that cannot be read gets no view.
Result<> sync_views(const Layout& layout, const oci::Index& index);

}  // namespace nexcage::image
