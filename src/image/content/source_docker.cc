// docker-archive: sources: what `docker save` writes (Docker image spec 1.2, "Combined Image JSON +
// Filesystem Changeset Format"), also by Podman, skopeo, and Docker 25 with OCI blobs inside.
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/image/content/source.h"

namespace nexcage::image::content {

namespace {

constexpr std::string_view kList = "manifest.json";

/// One element of manifest.json.
struct SavedImage {
  std::string config;
  std::vector<std::string> tags;
  std::vector<std::string> layers;
};

std::unexpected<Error> bad(const std::string& pointer, const std::string& why) {
  return fail(Errc::InvalidImage, "manifest.json: " + pointer + ": " + why);
}

Result<std::vector<std::string>> texts_at(const json::Value& image, const std::string& at,
                                          std::string_view name) {
  std::vector<std::string> texts;
  const json::Value* member = image.find(name);
  if (member == nullptr || member->is_null()) return texts;  // Go writes null for an empty list
  const json::Array* array = member->if_array();
  std::string pointer = json::pointer(at, name);
  if (array == nullptr) return bad(pointer, "must be an array");
  for (std::size_t i = 0; i < array->size(); ++i) {
    const std::string* text = (*array)[i].if_string();
    if (text == nullptr) return bad(json::pointer(pointer, i), "must be a string");
    texts.push_back(*text);
  }
  return texts;
}

Result<std::vector<SavedImage>> parse_list(const json::Value& list) {
  const json::Array* array = list.if_array();
  if (array == nullptr) return bad("", "must be an array");
  std::vector<SavedImage> images;
  for (std::size_t i = 0; i < array->size(); ++i) {
    const json::Value& element = (*array)[i];
    std::string at = json::pointer("", i);
    const json::Value* config = element.find("Config");
    const std::string* path = config != nullptr ? config->if_string() : nullptr;
    if (path == nullptr) return bad(json::pointer(at, "Config"), "must be a string");
    SavedImage image{.config = *path, .tags = {}, .layers = {}};
    NX_TRY(image.tags, texts_at(element, at, "RepoTags"));
    NX_TRY(image.layers, texts_at(element, at, "Layers"));
    images.push_back(std::move(image));
  }
  return images;
}

/// "@2" is the third image (skopeo's form); a name is compared normalised; empty is the only one.
Result<std::size_t> choose(const std::vector<SavedImage>& images, const std::string& wanted) {
  std::string all;
  for (const SavedImage& image : images)
    for (const std::string& tag : image.tags) all += (all.empty() ? "" : ", ") + quote(tag);
  std::string hint = "the archive has " + (all.empty() ? "no names" : all);
  if (wanted.empty() && images.size() == 1) return 0;
  if (wanted.empty())
    return fail(Error(Errc::ImageNotFound,
                      images.empty() ? "the archive lists no image" : "there are several images")
                    .hint(hint));
  if (wanted.starts_with('@')) {
    auto number = parse_u64(std::string_view(wanted).substr(1));
    if (number && *number < images.size()) return static_cast<std::size_t>(*number);
    return fail(Errc::ImageNotFound,
                "there is no image " + quote(wanted) + " among " + std::to_string(images.size()));
  }
  NX_TRY(oci::Reference name, oci::Reference::parse(wanted));
  for (std::size_t i = 0; i < images.size(); ++i)
    for (const std::string& tag : images[i].tags)
      if (auto own = oci::Reference::parse(tag); own && *own == name) return i;
  return fail(Error(Errc::ImageNotFound, "there is no image " + quote(wanted)).hint(hint));
}

Result<oci::Compression> compression_of(const Files& files, const std::string& path) {
  NX_TRY(auto source, files.open(path));
  std::array<std::byte, 8> head{};
  NX_TRY(std::size_t n, read_full(*source, head));
  return detect_compression(std::span(head).first(n));
}

Result<SourceLayer> to_source_layer(const Files* files, const std::string& path, std::size_t number,
                                    const oci::Digest& diff_id) {
  std::string what = "layer " + std::to_string(number) + " (" + path + ")";
  NX_TRY(oci::Compression compression, compression_of(*files, path), what);
  std::optional<oci::Digest> digest;
  if (compression == oci::Compression::none) digest = diff_id;  // the blob is the tar
  return SourceLayer{.what = std::move(what),
                     .digest = std::move(digest),
                     .size = std::nullopt,
                     .diff_id = diff_id,
                     .compression = compression,
                     .open = [files, path] { return files->open(path); }};
}

Result<std::vector<SavedImage>> read_list(const Files& files) {
  NX_TRY(json::Value list, read_json(files, std::string(kList)));
  return parse_list(list);
}

Result<SourceImage> read_saved(const std::shared_ptr<Files>& files, const SavedImage& saved) {
  SourceImage image;
  NX_TRY(std::string config_text, read_text(*files, saved.config), "config");
  image.config = make_document(oci::media::kConfig, std::move(config_text));
  auto config_value = json::parse(image.config->text);
  if (!config_value)
    return fail(std::move(config_value).error().as(Errc::InvalidImage).wrap(saved.config));
  NX_TRY(oci::ImageConfig config, oci::parse_image_config(*config_value), saved.config);
  if (config.diff_ids.size() != saved.layers.size())
    return fail(Errc::InvalidImage, "manifest.json has " + std::to_string(saved.layers.size()) +
                                        " layers, but config " + saved.config + " has " +
                                        std::to_string(config.diff_ids.size()) + " diff IDs");
  for (std::size_t i = 0; i < saved.layers.size(); ++i) {
    NX_TRY(SourceLayer layer, to_source_layer(files.get(), saved.layers[i], i, config.diff_ids[i]));
    image.layers.push_back(std::move(layer));
  }
  for (const std::string& tag : saved.tags)
    if (auto name = oci::Reference::parse(tag)) image.names.push_back(*std::move(name));
  image.files = files;
  return image;
}

}  // namespace

Result<SourceImage> read_docker_source(const std::shared_ptr<Files>& files,
                                       const std::string& reference) {
  NX_TRY(auto images, read_list(*files));
  NX_TRY(std::size_t chosen, choose(images, reference));
  NX_TRY(SourceImage image, read_saved(files, images[chosen]));
  if (auto name = oci::Reference::parse(reference)) image.names = {*std::move(name)};
  return image;
}

Result<std::vector<SourceImage>> read_all_docker(const std::shared_ptr<Files>& files) {
  NX_TRY(auto saved, read_list(*files));
  std::vector<SourceImage> images;
  for (const SavedImage& one : saved) {
    NX_TRY(SourceImage image, read_saved(files, one));
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace nexcage::image::content
