#include "nexcage/image/archive.h"

#include "nexcage/base/text.h"
#include "nexcage/image/helper.h"

namespace nexcage::image {

namespace {

constexpr std::string_view kOci = "oci-archive";
constexpr std::string_view kDocker = "docker-archive";

const std::string* text_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  return member != nullptr ? member->if_string() : nullptr;
}

/// Elements of an array member; InvalidJson when it is missing or none.
Result<const json::Array*> array_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  const json::Array* array = member != nullptr ? member->if_array() : nullptr;
  if (array == nullptr) return fail(Errc::InvalidJson, "lacks the array " + std::string(name));
  return array;
}

Result<LoadedImage> parse_loaded_image(const json::Value& value) {
  const std::string* manifest = text_at(value, "manifest");
  NX_TRY(oci::Digest digest, oci::Digest::parse(manifest != nullptr ? *manifest : ""));
  LoadedImage image{.manifest = std::move(digest), .names = {}};
  NX_TRY(const json::Array* names, array_at(value, "names"));
  for (const json::Value& element : *names) {
    const std::string* text = element.if_string();
    NX_TRY(oci::Reference name, oci::Reference::parse(text != nullptr ? *text : ""));
    image.names.push_back(std::move(name));
  }
  return image;
}

}  // namespace

Result<ArchiveFormat> parse_archive_format(std::string_view text) {
  if (text == kOci) return ArchiveFormat::oci_archive;
  if (text == kDocker) return ArchiveFormat::docker_archive;
  return fail(Errc::InvalidSpec, "archive format " + quote(text) + ": expected " +
                                     std::string(kOci) + " or " + std::string(kDocker));
}

std::string_view archive_format_name(ArchiveFormat format) {
  return format == ArchiveFormat::oci_archive ? kOci : kDocker;
}

json::Value to_json(const SaveRequest& request) {
  json::Array images;
  for (const std::string& image : request.images) images.emplace_back(image);
  json::Object out;
  out.set("images", std::move(images));
  out.set("format", archive_format_name(request.format));
  return out;
}

Result<SaveRequest> parse_save_request(const json::Value& value) {
  SaveRequest request;
  const std::string* format = text_at(value, "format");
  NX_TRY(request.format, parse_archive_format(format != nullptr ? *format : ""));
  NX_TRY(const json::Array* images, array_at(value, "images"));
  for (const json::Value& element : *images)
    if (const std::string* image = element.if_string()) request.images.push_back(*image);
  return request;
}

json::Value to_json(const std::vector<LoadedImage>& images) {
  json::Array array;
  for (const LoadedImage& image : images) {
    json::Array names;
    for (const oci::Reference& name : image.names) names.emplace_back(name.str());
    json::Object entry;
    entry.set("manifest", image.manifest.str());
    entry.set("names", std::move(names));
    array.emplace_back(std::move(entry));
  }
  json::Object out;
  out.set("images", std::move(array));
  return out;
}

Result<std::vector<LoadedImage>> parse_loaded_images(const json::Value& value) {
  NX_TRY(const json::Array* array, array_at(value, "images"));
  std::vector<LoadedImage> images;
  for (const json::Value& element : *array) {
    NX_TRY(LoadedImage image, parse_loaded_image(element));
    images.push_back(std::move(image));
  }
  return images;
}

Result<> save_images(const std::vector<std::string>& images, ArchiveFormat format, int output,
                     const Store& store, const std::string& libexec_dir) {
  json::Object message;
  message.set("root", store.root());
  message.set("save", to_json(SaveRequest{.images = images, .format = format}));
  NX_CHECK(call_helper(libexec_dir, "save", std::move(message),
                       {.input = -1, .output = output, .on_event = {}, .on_tick = {}}),
           "save " + join(images, ", "));
  return {};
}

Result<std::vector<LoadedImage>> load_images(const std::string& path, int input, const Store& store,
                                             const std::string& libexec_dir) {
  json::Object message;
  message.set("root", store.root());
  message.set("path", path);
  const std::string what = "load " + (path.empty() ? "standard input" : path);
  NX_TRY(json::Value answer,
         call_helper(
             libexec_dir, "load", std::move(message),
             {.input = path.empty() ? input : -1, .output = -1, .on_event = {}, .on_tick = {}}),
         what);
  NX_TRY(auto loaded, parse_loaded_images(answer), what);
  return loaded;
}

}  // namespace nexcage::image
