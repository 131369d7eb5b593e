// Readers that the image documents share. Internal to oci/.
#pragma once

#include "nexcage/oci/fields.h"
#include "nexcage/oci/image.h"

namespace nexcage::oci {

/// Which members tell a document's kind. Another reader could take a document that has both kinds'
/// members for the other kind (CVE-2021-41190), so it is refused.
Result<> check_kind(const Node& node, std::span<const std::string_view> foreign,
                    std::span<const std::string_view> media_types);

Result<> read(const Node& node, Platform& out);
Result<> read(const Node& node, std::vector<Digest>& out);
Result<> read(const Node& node, std::vector<Descriptor>& out);
Result<> read(const Node& node, std::optional<Descriptor>& out);

/// Appends to `out` the members of `document` that no reader knew.
void append_unknown(json::Object& out, const json::Value& document, const Known& known);

}  // namespace nexcage::oci
