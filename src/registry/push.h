// Pushing an image of the store, as the front binary does it: plan, then the confined helper
// (libexec/nexcage/image push) reads the store and talks to the registry.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/oci/reference.h"
#include "nexcage/registry/pull.h"

namespace nexcage::registry {

struct Pushed {
  oci::Reference name;
  oci::Digest digest;        // what the registry has under the name now
  std::size_t uploaded = 0;  // blobs; the others were there or mounted from another repository
};

/// Pushes an image as it is in the store: an index when all of its manifests are here, else the
/// manifest of this machine's platform. Byte for byte, so the digest stays. PermissionDenied,
/// RegistryError, Timeout; InvalidImage when something of it is missing or damaged.
Result<Pushed> push_image(const image::Image& image, const oci::Reference& destination,
                          const Choices& choices, const TransferPlace& place,
                          const TransferWatch& watch);

}  // namespace nexcage::registry
