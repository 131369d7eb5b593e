// Fetching what is attached to an image, so that the policy's requirements can be checked.
#pragma once

#include <span>
#include <vector>

#include "nexcage/registry/client/remote.h"
#include "nexcage/registry/trust.h"

namespace nexcage::registry::client {

/// Fetches the signatures of each of these manifests in turn, an index's beside its image's own,
/// and checks them; the first that meets the trust ends it. From the first remote that has any. The
/// errors of verify_signatures for the first manifest, and of a registry that cannot be asked.
Result<> check_signatures(const std::vector<Remote*>& remotes, const Trust& trust,
                          const oci::Reference& reference, std::span<const oci::Digest> manifests);

}  // namespace nexcage::registry::client
