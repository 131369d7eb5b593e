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

/// What a user wrote, classified against an index.
struct Match {
  oci::Descriptor descriptor;
  std::optional<oci::Reference> name;  // when a name (and not a digest or ID) was given
};
/// `id_of` gives the config digest of a manifest, nullopt when it cannot be read. The order is:
/// digest, name (docker.io/library first, then localhost/, as Podman does for short names), prefix
/// of an ID or digest. ImageNotFound with a hint otherwise.
using IdOf = std::function<std::optional<oci::Digest>(const oci::Descriptor& manifest)>;
Result<Match> find_image(const oci::Index& index, std::string_view what, const IdOf& id_of);

}  // namespace nexcage::image
