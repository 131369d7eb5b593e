// What a repository has: its tags, and what refers to a manifest (distribution-spec 1.1, "Content
// Discovery").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/oci/image.h"
#include "nexcage/registry/client/remote.h"

namespace nexcage::registry::client {

/// All tags, page by page, in the registry's order. Errors as Remote::ask_ok(); InvalidImage for an
/// answer that is no list.
Result<std::vector<std::string>> list_tags(Remote& remote);

/// Manifests whose subject is this one; only those of `artifact_type` unless it is empty. A
/// registry without the API is asked for the tag ALGORITHM-HEX in its place; no such tag: nothing
/// refers to it.
Result<std::vector<oci::Descriptor>> list_referrers(Remote& remote, const oci::Digest& subject,
                                                    std::string_view artifact_type);

/// "sha256-<hex>": where referrers are listed without the API.
std::string referrers_tag(const oci::Digest& subject);

/// The target of rel="next" in a Link header (RFC 8288); nullopt when there is none. Pure.
std::optional<std::string> next_link(std::string_view header);

}  // namespace nexcage::registry::client
