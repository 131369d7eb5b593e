// Taking images in: what the front binary sees of it. The work is done by libexec/nexcage/image
// (content/importer.h), which writes the store itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/reference.h"

namespace nexcage::image {

enum class SourceKind : std::uint8_t { oci, oci_archive, docker_archive, rootfs };

/// Where an image comes from, in skopeo's words: "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]",
/// "docker-archive:FILE[:REF]", and ours: "rootfs:FILE".
struct ImportSource {
  SourceKind kind = SourceKind::oci;
  std::string path;
  std::string reference;  // TAG or REF as written; empty: the only image there is
  std::string str() const;
};
/// Splits at the first colon behind the transport, as skopeo does. InvalidSpec, with the transports
/// in the hint, for anything else.
Result<ImportSource> parse_source(std::string_view text);

/// What the image of a bare root file system says of the process to run.
struct RootfsConfig {
  std::vector<std::string> entrypoint, cmd;
  std::vector<std::string> env;  // NAME=value; without PATH the usual one is added
  std::string user, working_dir;
};

struct ImportRequest {
  ImportSource source;
  /// Replaces the names that the source gives. A source without a usable name is called
  /// localhost/<file name>:<its tag or latest>.
  std::optional<oci::Reference> name;
  RootfsConfig rootfs;  // for SourceKind::rootfs only
};

/// Imports, all or nothing, and gives the image as the store has it; `names` of the result are
/// those the image has now. ImageNotFound when the source has no such tag or no image for this
/// machine; InvalidImage naming the blob when something in it is missing or not what its digest
/// says; FileError when files cannot be read or written.
Result<Image> import_image(const ImportRequest& request, const std::string& libexec_dir,
                           Store& store);

/// The request as it travels to the helper, and back.
json::Value to_json(const ImportRequest& request);
Result<ImportRequest> parse_import_request(const json::Value& value);

}  // namespace nexcage::image
