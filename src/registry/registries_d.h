// registries.d/*.yaml (containers-registries.d(5)): whether signatures are looked for beside the
// images of a registry. Read are block mappings, plain and quoted scalars and comments, which is
// all that this format needs; other YAML is refused, never guessed at.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/oci/reference.h"

namespace nexcage::registry {

/// use-sigstore-attachments of one section.
struct Attachments {
  std::optional<bool> use;
  std::string origin;  // "FILE:LINE" of the section
};

struct RegistriesD {
  std::optional<Attachments> fallback;          // default-docker
  std::map<std::string, Attachments> sections;  // docker: scope -> section
};

/// Adds one file. ConfigError with file and line for what is not understood, a word that is no
/// boolean, and for a section that another file has already.
Result<> add_registries_d(std::string_view text, const std::string& file, RegistriesD& into);

/// Of the most specific section that says something: its word; false when none does.
bool use_attachments(const RegistriesD& config, const oci::Reference& image);

}  // namespace nexcage::registry
