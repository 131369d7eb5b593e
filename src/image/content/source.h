// An image as a source offers it: documents read and checked, layers ready to be streamed. Reading
// sources changes nothing in the store.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/content/files.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/image/import.h"
#include "nexcage/image/layout.h"
#include "nexcage/oci/image.h"

namespace nexcage::image::content {

/// What is promised of a layer, and its bytes. What is not promised is found out by reading.
struct SourceLayer {
  std::string what;  // for messages: "layer sha256:...", "layer 3 (abc/layer.tar)"
  std::optional<oci::Digest> digest;
  std::optional<std::uint64_t> size;
  std::optional<oci::Digest> diff_id;
  oci::Compression compression{};
  std::function<Result<std::unique_ptr<ByteSource>>()> open;
};

/// A JSON document, byte for byte.
struct SourceDocument {
  std::string text;
  oci::Descriptor descriptor;
};

struct SourceImage {
  std::optional<SourceDocument> manifest;  // absent: to be made from config and layers
  std::optional<SourceDocument> config;    // absent: to be made from the root file system's layer
  std::vector<SourceLayer> layers;         // lowest first
  std::vector<oci::Reference> names;       // that the source gives; may be empty
  std::string tag;                         // what the source calls it, if that is no whole name
  std::shared_ptr<Files> files;            // what `open` reads from; images of one archive share
};

/// Opens and checks the source. Errors as import_image().
Result<SourceImage> read_source(const ImportRequest& request, const Layout& layout);
Result<SourceImage> read_oci_source(const std::shared_ptr<Files>& files, const std::string& tag);
Result<SourceImage> read_docker_source(const std::shared_ptr<Files>& files,
                                       const std::string& reference);
Result<SourceImage> read_rootfs_source(const std::string& path);

/// Every image of an archive of either kind; a layout counts as such also where Docker's
/// manifest.json lies beside it, because it has the layers as they were pulled.
Result<std::vector<SourceImage>> read_all_images(const std::shared_ptr<Files>& files);
Result<std::vector<SourceImage>> read_all_oci(const std::shared_ptr<Files>& files);
Result<std::vector<SourceImage>> read_all_docker(const std::shared_ptr<Files>& files);

/// localhost/<file name>:<tag>, the file name made fit for the grammar.
oci::Reference fallback_name(const std::string& path, const std::string& tag);

oci::Descriptor make_descriptor(std::string_view media_type, oci::Digest digest,
                                std::uint64_t size);
/// Descriptor of a document of ours or of known digest.
SourceDocument make_document(std::string_view media_type, std::string text);

}  // namespace nexcage::image::content
