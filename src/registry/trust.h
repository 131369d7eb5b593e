// What an image must prove before it is used: the policy's requirements that are left for the
// helper to check, with their keys. A value that travels as JSON.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/registry/signed_identity.h"

namespace nexcage::registry {

/// An attached sigstore signature by one of the keys, for this name.
struct SigstoreRequirement {
  std::vector<std::string> keys;  // PEM
  SignedIdentity identity;
  bool operator==(const SigstoreRequirement&) const = default;
};

struct Trust {
  std::string rule;                               // what decided, for messages
  std::vector<SigstoreRequirement> requirements;  // all must hold; none: the image is accepted
  bool operator==(const Trust&) const = default;
};

/// {"type": "accept", "rule"} or {"type": "sigstore", "rule", "requirements": [{"keys",
/// "identity"}]}.
json::Value to_json(const Trust& trust);
/// InvalidJson for another type, and for a requirement without keys: nothing is accepted by
/// mistake.
Result<Trust> parse_trust(const json::Value& value);

}  // namespace nexcage::registry
