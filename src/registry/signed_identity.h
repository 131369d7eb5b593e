// The name that a signature must carry for an image (signedIdentity of containers-policy.json(5)).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/reference.h"

namespace nexcage::registry {

struct SignedIdentity {
  enum class Kind : std::uint8_t {
    match_exact,
    match_repo_digest_or_exact,  // what holds when the policy says nothing
    match_repository,
    exact_reference,
    exact_repository,
    remap_identity,
  };
  Kind kind = Kind::match_repo_digest_or_exact;
  std::string name;           // of exact_*: what must be signed; of remap_identity: the prefix
  std::string signed_prefix;  // of remap_identity
  bool operator==(const SignedIdentity&) const = default;
};

/// {"type": "matchExact"} and so on. ConfigError beginning with `where` for a type, a member or a
/// name that containers/image refuses too.
Result<SignedIdentity> parse_signed_identity(const json::Value& value, const std::string& where);
json::Value to_json(const SignedIdentity& identity);

/// Whether a signature that names `signed_name` counts for the image that was asked for. A
/// reference with tag and digest counts as one by digest.
bool identity_matches(const SignedIdentity& identity, const oci::Reference& image,
                      std::string_view signed_name);

}  // namespace nexcage::registry
