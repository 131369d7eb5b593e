// The names in an index.json, as pure functions over it. One descriptor stands for one name; a
// manifest without a name keeps one bare descriptor.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/oci/image.h"
#include "nexcage/oci/reference.h"

namespace nexcage::image {

/// image-spec, annotations.md; containerd writes the full name in the second.
inline constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
inline constexpr std::string_view kContainerdName = "io.containerd.image.name";

/// The name this descriptor stands for; nullopt for a bare one or one whose name is no reference.
std::optional<oci::Reference> name_of(const oci::Descriptor& descriptor);
/// All names of a manifest, in the index's order.
std::vector<oci::Reference> names_of(const oci::Index& index, const oci::Digest& manifest);

/// Points the name at the manifest. What the name stood for before keeps a bare descriptor if this
/// was its last name.
oci::Index with_name(oci::Index index, const oci::Reference& name, const oci::Descriptor& manifest);
/// Takes one name away, and with the manifest's last one the descriptor itself.
oci::Index without_name(oci::Index index, const oci::Reference& name);
/// Takes every descriptor of this manifest away.
oci::Index without_manifest(oci::Index index, const oci::Digest& manifest);
bool has_manifest(const oci::Index& index, const oci::Digest& manifest);
/// Lists the manifest, bare, unless it is listed already.
oci::Index with_manifest(oci::Index index, const oci::Descriptor& manifest);

/// What a user wrote, classified against an index.
struct Match {
  oci::Descriptor descriptor;
  std::optional<oci::Reference> name;  // when a name (and not a digest or ID) was given
};

/// What else an entry of the index is known by: for an index the manifest of this machine's
/// platform, and the image ID.
struct Identity {
  oci::Digest manifest;
  oci::Digest config;
};
/// nullopt when it cannot be read.
using IdentityOf = std::function<std::optional<Identity>(const oci::Descriptor& entry)>;
/// The order is: digest, name (docker.io/library first, then localhost/, as Podman does for short
/// names), prefix of an ID or digest. ImageNotFound with a hint otherwise.
Result<Match> find_image(const oci::Index& index, std::string_view what,
                         const IdentityOf& identity_of);

}  // namespace nexcage::image
