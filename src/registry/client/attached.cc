#include "nexcage/registry/client/attached.h"

#include <optional>

#include "nexcage/registry/client/documents.h"
#include "nexcage/registry/client/sigstore.h"

namespace nexcage::registry::client {

namespace {

/// None when no remote knows the tag: an image without signatures.
Result<std::vector<SignedPayload>> fetch_signatures(const std::vector<Remote*>& remotes,
                                                    const oci::Digest& manifest) {
  std::vector<SignedPayload> out;
  std::optional<Error> silent;  // of a remote that did not even say that there are none
  bool none = false;
  for (Remote* remote : remotes) {
    auto document = get_manifest(*remote, signature_tag(manifest), std::nullopt);
    if (!document) {
      if (document.error().code() == Errc::ImageNotFound)
        none = true;
      else if (!silent)
        silent = std::move(document).error().wrap("signatures");
      continue;
    }
    NX_TRY(const std::vector<AttachedSignature> attached, parse_signatures(document->value));
    for (const AttachedSignature& one : attached) {
      NX_TRY(std::string payload, get_small_blob({remote}, one.payload, "payload of a signature"));
      out.push_back({std::move(payload), one.signature});
    }
    return out;
  }
  if (silent && !none) return fail(*std::move(silent));
  return out;
}

}  // namespace

Result<> check_signatures(const std::vector<Remote*>& remotes, const Trust& trust,
                          const oci::Reference& reference, std::span<const oci::Digest> manifests) {
  Result<> first;
  for (const oci::Digest& manifest : manifests) {
    NX_TRY(const std::vector<SignedPayload> signatures, fetch_signatures(remotes, manifest));
    auto verdict = verify_signatures(trust, reference, manifest, signatures);
    if (verdict || verdict.error().code() != Errc::PermissionDenied) return verdict;
    if (first) first = std::move(verdict);
  }
  return first;
}

}  // namespace nexcage::registry::client
