// Signatures as cosign attaches them to images ("simple signing"): a tag made of the manifest's
// digest names a manifest whose layers are payloads; each layer's annotation is the signature over
// its bytes. Parse and verify; no I/O.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/oci/digest.h"
#include "nexcage/oci/image.h"
#include "nexcage/oci/reference.h"
#include "nexcage/registry/trust.h"

namespace nexcage::registry::client {

/// "sha256-<hex>.sig": the tag of a manifest's signatures, in its own repository.
std::string signature_tag(const oci::Digest& manifest);

/// More signatures than these are not looked at, and larger payloads are refused.
inline constexpr std::size_t kMaxSignatures = 64;
inline constexpr std::size_t kMaxPayload = 64u << 10;

/// One signature, and the payload that is still to be fetched.
struct AttachedSignature {
  oci::Descriptor payload;
  std::string signature;  // base64
};
/// The layers of a signature manifest that are sigstore signatures. InvalidImage for what is no
/// manifest and for a payload larger than kMaxPayload.
Result<std::vector<AttachedSignature>> parse_signatures(const json::Value& manifest);

struct SignedPayload {
  std::string payload;    // the very bytes that were signed
  std::string signature;  // base64
};
/// Every requirement must be met by one of the signatures: made by one of its keys (ECDSA or RSA
/// PKCS #1 v1.5 over SHA-256, Ed25519), over a payload that names this manifest and an identity
/// that counts for the reference. PermissionDenied with the rule and why each signature does not
/// count; ConfigError for a key that is none, Unsupported for one of another kind.
Result<> verify_signatures(const Trust& trust, const oci::Reference& reference,
                           const oci::Digest& manifest, std::span<const SignedPayload> signatures);

}  // namespace nexcage::registry::client
