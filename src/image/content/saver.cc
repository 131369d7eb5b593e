#include "nexcage/image/content/saver.h"

#include <algorithm>
#include <set>

#include "nexcage/image/catalog.h"
#include "nexcage/image/content/source.h"
#include "nexcage/image/content/tar_writer.h"
#include "nexcage/image/load.h"
#include "nexcage/sys/fs.h"

namespace nexcage::image::content {

namespace {

/// The images asked for, each once however often and by whatever name it was asked for.
Result<std::vector<Image>> find_all(const Layout& layout, const std::vector<std::string>& words) {
  NX_TRY(const oci::Index index, layout.read_index());
  std::vector<Image> images;
  for (const std::string& word : words) {
    NX_TRY(const Match match, find_image(index, word, identities(layout)));
    NX_TRY(Image image, load_image(layout, match.descriptor), "image " + word);
    auto known = std::ranges::find_if(images, [&](const Image& other) {
      return other.manifest_descriptor.digest == image.manifest_descriptor.digest;
    });
    if (known == images.end()) known = images.insert(images.end(), std::move(image));
    if (match.name && std::ranges::find(known->names, *match.name) == known->names.end())
      known->names.push_back(*match.name);
  }
  return images;
}

/// Archives, with what is in them already: images share blobs.
class Archive {
 public:
  Archive(const Layout& layout, int output) : layout_(layout), tar_(output) {}
  TarWriter& tar() { return tar_; }
  /// True when it is to be added now.
  bool is_new(const std::string& name) { return names_.insert(name).second; }

  /// The blob as it is, verified.
  Result<> add_blob(const std::string& name, const oci::Descriptor& blob) {
    if (!is_new(name)) return {};
    NX_TRY(UniqueFd fd, layout_.open_blob(blob));
    FdSource file(fd.get(), "blob");
    NX_TRY(auto verified,
           VerifiedSource::create(file, blob.digest, blob.size, "blob " + blob.digest.str()));
    return tar_.add_file(name, blob.size, *verified);
  }

  /// The layer's tar. Read twice: a tar says how large a member is before its bytes come, and the
  /// first reading finds damage before anything of the layer is written.
  Result<> add_inflated(const std::string& name, const LayerBlob& layer) {
    if (!is_new(name)) return {};
    std::uint64_t size = layer.blob.size;
    if (layer.compression != oci::Compression::none) {
      NX_TRY(UniqueFd fd, layout_.open_blob(layer.blob));
      NX_TRY(auto measured, open_layer(fd.get(), layer));
      NX_CHECK(measured->finish());
      size = measured->tar_bytes();
    }
    NX_TRY(UniqueFd fd, layout_.open_blob(layer.blob));
    NX_TRY(auto stream, open_layer(fd.get(), layer));
    NX_CHECK(tar_.add_file(name, size, stream->tar()));
    return stream->finish();
  }

 private:
  static Result<std::unique_ptr<LayerStream>> open_layer(int fd, const LayerBlob& layer) {
    return LayerStream::open(fd, {.digest = layer.blob.digest,
                                  .size = layer.blob.size,
                                  .compression = layer.compression,
                                  .diff_id = layer.diff_id});
  }
  const Layout& layout_;
  TarWriter tar_;
  std::set<std::string> names_;
};

/// index.json of an archive: one descriptor for each name, as in the store.
oci::Index make_index(const std::vector<Image>& images) {
  oci::Index index;
  index.media_type = oci::media::kIndex;
  for (const Image& image : images) {
    index = with_manifest(std::move(index), image.manifest_descriptor);
    for (const oci::Reference& name : image.names)
      index = with_name(std::move(index), name, image.manifest_descriptor);
  }
  return index;
}

/// image-spec, image-layout.md.
Result<> write_oci(const std::vector<Image>& images, Archive& archive) {
  NX_CHECK(archive.tar().add_text("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}"));
  NX_CHECK(archive.tar().add_text("index.json", json::dump(oci::to_json(make_index(images)))));
  NX_CHECK(archive.tar().add_directory("blobs"));
  for (const Image& image : images) {
    std::vector<oci::Descriptor> blobs = {image.manifest_descriptor, image.manifest.config};
    for (const LayerBlob& layer : image.layers) blobs.push_back(layer.blob);
    for (const oci::Descriptor& blob : blobs) {
      const std::string directory = "blobs/" + std::string(blob.digest.algorithm());
      if (archive.is_new(directory)) NX_CHECK(archive.tar().add_directory(directory));
      NX_CHECK(archive.add_blob(blob.digest.blob_path(), blob));
    }
  }
  return archive.tar().finish();
}

/// Docker image spec 1.2, "Combined Image JSON + Filesystem Changeset Format": layers are plain
/// tars, named for their diff IDs.
Result<> write_docker(const std::vector<Image>& images, Archive& archive) {
  json::Array list;
  for (const Image& image : images) {
    json::Array tags, layers;
    for (const oci::Reference& name : image.names)
      if (!name.digest) tags.emplace_back(name.str());
    for (const LayerBlob& layer : image.layers)
      layers.emplace_back(std::string(layer.diff_id.hex()) + ".tar");
    const std::string config = std::string(image.manifest.config.digest.hex()) + ".json";
    json::Object entry;
    entry.set("Config", config);
    entry.set("RepoTags", std::move(tags));
    entry.set("Layers", std::move(layers));
    list.emplace_back(std::move(entry));
    for (const LayerBlob& layer : image.layers)
      NX_CHECK(archive.add_inflated(std::string(layer.diff_id.hex()) + ".tar", layer));
    NX_CHECK(archive.add_blob(config, image.manifest.config));
  }
  NX_CHECK(archive.tar().add_text("manifest.json", json::dump(std::move(list))));
  return archive.tar().finish();
}

}  // namespace

Result<> run_save(const Layout& layout, const SaveRequest& request, int output) {
  NX_TRY(auto blobs_lock, layout.share_blobs());
  NX_TRY(const std::vector<Image> images, find_all(layout, request.images));
  Archive archive(layout, output);
  return request.format == ArchiveFormat::oci_archive ? write_oci(images, archive)
                                                      : write_docker(images, archive);
}

}  // namespace nexcage::image::content
