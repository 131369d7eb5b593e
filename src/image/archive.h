// Images as archives: what `image save` writes and `image load` reads, as the front binary sees it.
// The work is done by libexec/nexcage/image (content/saver.h, content/loader.h).
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

enum class ArchiveFormat : std::uint8_t { oci_archive, docker_archive };
/// "oci-archive" or "docker-archive"; InvalidSpec otherwise.
Result<ArchiveFormat> parse_archive_format(std::string_view text);
std::string_view archive_format_name(ArchiveFormat format);

/// Writes the images, each as the store has it for this machine's platform, as one tar to `output`
/// (a descriptor, borrowed, that need not be seekable). What names an image by a name gives the
/// image that name in the archive; an ID or digest gives none. Every byte is verified on its way:
/// InvalidImage naming the blob when one is damaged, and then the archive is of no use.
Result<> save_images(const std::vector<std::string>& images, ArchiveFormat format, int output,
                     const Store& store, const std::string& libexec_dir);

/// An image that was taken in from an archive.
struct LoadedImage {
  oci::Digest manifest;
  std::vector<oci::Reference> names;  // empty: the archive has none for it
};
/// Takes in every image of an archive of either format (plain, gzip or zstd), all or nothing:
/// from the file `path`, or, when it is empty, from `input` (a descriptor, borrowed). An image that
/// the archive calls by a bare tag is named localhost/<file name>:<tag>. Errors as import_image().
Result<std::vector<LoadedImage>> load_images(const std::string& path, int input, const Store& store,
                                             const std::string& libexec_dir);

/// What travels to the helper and back.
struct SaveRequest {
  std::vector<std::string> images;
  ArchiveFormat format = ArchiveFormat::oci_archive;
};
json::Value to_json(const SaveRequest& request);
Result<SaveRequest> parse_save_request(const json::Value& value);
json::Value to_json(const std::vector<LoadedImage>& images);
Result<std::vector<LoadedImage>> parse_loaded_images(const json::Value& value);

}  // namespace nexcage::image
