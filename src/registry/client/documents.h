// Manifests, indexes and configs: small JSON documents, each checked against its digest before
// anybody reads it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/json/value.h"
#include "nexcage/oci/image.h"
#include "nexcage/registry/client/remote.h"

namespace nexcage::registry::client {

/// No document is larger: the store's own limit.
inline constexpr std::size_t kMaxDocument = json::Limits{}.max_bytes;

struct Document {
  std::string media_type;  // what it is, header and content agreeing
  oci::Digest digest;
  std::string text;
  json::Value value;
  oci::Descriptor descriptor() const;
  bool is_index() const;
};

/// What a HEAD tells of a manifest; nullopt when the registry does not say its digest. Errors as
/// Remote::ask_ok().
Result<std::optional<oci::Digest>> head_manifest(Remote& remote, const std::string& reference);

/// GET of a manifest or index by tag or digest. InvalidImage when it is too large, no JSON, not
/// what its media type or digest says; Unsupported for schema 1.
Result<Document> get_manifest(Remote& remote, const std::string& tag,
                              const std::optional<oci::Digest>& digest);

/// GET of a small blob that a document names: size and digest checked. From the first of the
/// remotes that has it.
Result<std::string> get_small_blob(const std::vector<Remote*>& remotes, const oci::Descriptor& blob,
                                   std::string_view what);

/// Whether a document has the digest.
Result<bool> has_digest(std::string_view text, const oci::Digest& digest);

/// The type of a manifest: what the Content-Type header says, unless it is a general one, and what
/// the document itself says must agree. InvalidImage, Unsupported for schema 1. Pure.
Result<std::string> manifest_type(std::string_view content_type, const json::Value& value);

}  // namespace nexcage::registry::client
