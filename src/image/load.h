// From a descriptor in the index to a checked image.
#pragma once

#include <set>

#include "nexcage/base/error.h"
#include "nexcage/image/catalog.h"
#include "nexcage/image/layout.h"

namespace nexcage::image {

/// Layers of a manifest with their diff IDs. InvalidImage when manifest and config disagree on
/// their number, one blob has two diff IDs, or a layer is of a type we cannot unpack. Pure.
Result<std::vector<LayerBlob>> match_layers(const oci::Manifest& manifest,
                                            const oci::ImageConfig& config);

/// Reads and checks manifest, config and the presence and size of every layer. An index is followed
/// to the manifest of this machine's platform. `names` is left empty.
Result<Image> load_image(const Layout& layout, const oci::Descriptor& descriptor);

/// For find_image(): reads the documents of the layout, which must outlive it.
IdentityOf identities(const Layout& layout);

/// Adds to `blobs` the descriptor's own blob and all it leads to, nested indexes included.
Result<> collect_blobs(const Layout& layout, const oci::Descriptor& descriptor,
                       std::set<oci::Digest>& blobs);

bool is_index_type(std::string_view media_type);

}  // namespace nexcage::image
