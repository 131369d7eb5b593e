// Image references: [registry/]repository[:tag][@digest], with Docker's normalisation
// (distribution's reference grammar; "busybox" is docker.io/library/busybox:latest).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/oci/digest.h"

namespace nexcage::oci {

struct Reference {
  std::string registry;    // "docker.io", "localhost:5000", "localhost"
  std::string repository;  // "library/busybox"
  std::string tag;         // empty when only a digest was given
  std::optional<Digest> digest;

  /// InvalidSpec naming the offending part. A name without tag and digest gets the tag "latest".
  static Result<Reference> parse(std::string_view text);
  /// registry/repository: the directory of the store's name view.
  std::string name() const { return registry + "/" + repository; }
  /// Normalised text: name[:tag][@digest]; parse(str()) gives the same value.
  std::string str() const;
  bool operator==(const Reference&) const = default;
};

/// The text begins with a registry: what stands before its first slash has a '.', a ':' or upper
/// case in it, or is "localhost". All else is a short name.
bool names_registry(std::string_view reference);
/// The text ends in a tag or a digest.
bool has_tag_or_digest(std::string_view reference);

}  // namespace nexcage::oci
