// oci: and oci-archive: sources (image-spec, image-layout.md).
#include <algorithm>
#include <map>
#include <set>

#include "nexcage/base/text.h"
#include "nexcage/image/catalog.h"
#include "nexcage/image/content/source.h"
#include "nexcage/image/load.h"

namespace nexcage::image::content {

namespace {

constexpr int kMaxNesting = 4;

const std::string* annotation(const oci::Descriptor& descriptor, std::string_view key) {
  auto found = descriptor.annotations.find(std::string(key));
  return found == descriptor.annotations.end() ? nullptr : &found->second;
}

/// What the layout calls an entry; empty for one without a name.
std::string entry_name(const oci::Descriptor& descriptor) {
  const std::string* name = annotation(descriptor, kRefName);
  if (name == nullptr) name = annotation(descriptor, kContainerdName);
  return name != nullptr ? *name : "";
}

bool answers_to(const oci::Descriptor& descriptor, const std::string& tag) {
  for (std::string_view key : {kRefName, kContainerdName}) {
    const std::string* text = annotation(descriptor, key);
    if (text == nullptr) continue;
    if (*text == tag) return true;
    // Full names may be written shorter or longer: busybox, docker.io/library/busybox:latest.
    auto wanted = oci::Reference::parse(tag);
    auto own = oci::Reference::parse(*text);
    if (wanted && own && text->find('/') != std::string::npos && *wanted == *own) return true;
  }
  return false;
}

/// Names for a message: at most ten.
std::string list_of(const std::set<std::string>& names) {
  std::string text;
  std::size_t count = 0;
  for (const std::string& name : names) {
    if (count++ == 10) return text + ", ...";
    text += (text.empty() ? "" : ", ") + quote(name);
  }
  return text;
}

/// The entries that the tag, or the absence of one, means.
Result<oci::Index> select_entries(const oci::Index& index, const std::string& tag) {
  std::set<std::string> names;
  for (const oci::Descriptor& entry : index.manifests) names.insert(entry_name(entry));
  oci::Index chosen = index;
  if (!tag.empty())
    std::erase_if(chosen.manifests, [&](const auto& entry) { return !answers_to(entry, tag); });
  names.erase("");
  if (index.manifests.empty()) return fail(Errc::ImageNotFound, "index.json lists no image");
  if (chosen.manifests.empty())
    return fail(Error(Errc::ImageNotFound, "there is no image " + quote(tag))
                    .hint("the source has " + (names.empty() ? "no names" : list_of(names))));
  if (tag.empty() && names.size() > 1)
    return fail(Error(Errc::ImageNotFound, "there are several images")
                    .hint("choose one of " + list_of(names)));
  return chosen;
}

std::string platforms_of(const oci::Index& index) {
  std::set<std::string> names;
  for (const oci::Descriptor& entry : index.manifests)
    if (entry.platform) names.insert(entry.platform->os + "/" + entry.platform->architecture);
  return names.empty() ? "no platform" : list_of(names);
}

Result<oci::Descriptor> choose_entry(const oci::Index& index) {
  if (index.manifests.size() == 1) return index.manifests.front();
  const oci::Descriptor* chosen = oci::choose_platform(index, oci::host_platform());
  if (chosen != nullptr) return *chosen;
  oci::Platform host = oci::host_platform();
  return fail(
      Error(Errc::ImageNotFound, "there is no image for " + host.os + "/" + host.architecture)
          .hint("the source has " + platforms_of(index)));
}

/// A document among the blobs, size and digest checked.
Result<SourceDocument> read_blob(const Files& files, const oci::Descriptor& descriptor) {
  NX_TRY(std::string text, read_text(files, descriptor.digest.blob_path()));
  MemorySource bytes(std::as_bytes(std::span(text)));
  NX_TRY(auto verified, VerifiedSource::create(bytes, descriptor.digest, descriptor.size,
                                               "blob " + descriptor.digest.str()));
  NX_CHECK(drain(*verified));
  return SourceDocument{.text = std::move(text), .descriptor = descriptor};
}

Result<json::Value> parse_blob(const SourceDocument& document) {
  auto value = json::parse(document.text);
  if (!value)
    return fail(std::move(value)
                    .error()
                    .as(Errc::InvalidImage)
                    .wrap("blob " + document.descriptor.digest.str()));
  return *std::move(value);
}

/// Follows nested indexes to this machine's manifest.
Result<SourceDocument> read_manifest(const Files& files, oci::Descriptor descriptor) {
  for (int depth = 0; depth <= kMaxNesting; ++depth) {
    NX_TRY(SourceDocument document, read_blob(files, descriptor));
    if (!is_index_type(descriptor.media_type)) return document;
    NX_TRY(json::Value value, parse_blob(document));
    NX_TRY(oci::Index index, oci::parse_index(value), "index " + descriptor.digest.str());
    NX_TRY(oci::Descriptor next, choose_entry(index), "index " + descriptor.digest.str());
    descriptor = std::move(next);
  }
  return fail(Errc::InvalidImage, "index " + descriptor.digest.str() + ": nested too deep");
}

SourceLayer to_source_layer(const LayerBlob& layer, const Files* files) {
  std::string path = layer.blob.digest.blob_path();
  return {.what = "layer " + layer.blob.digest.str(),
          .digest = layer.blob.digest,
          .size = layer.blob.size,
          .diff_id = layer.diff_id,
          .compression = layer.compression,
          .open = [files, path] { return files->open(path); }};
}

/// A name from the entry's annotations, if it is more than a tag.
std::vector<oci::Reference> full_names(const oci::Descriptor& entry) {
  for (std::string_view key : {kContainerdName, kRefName}) {
    const std::string* text = annotation(entry, key);
    if (text == nullptr || text->find_first_of("/:") == std::string::npos) continue;
    if (auto name = oci::Reference::parse(*text)) return {*std::move(name)};
  }
  return {};
}

Result<oci::Index> read_entries(const Files& files) {
  if (!files.has("oci-layout"))
    return fail(Errc::InvalidImage, "oci-layout is missing: this is no OCI image layout");
  NX_TRY(json::Value value, read_json(files, "index.json"));
  NX_TRY(oci::Index index, oci::parse_index(value), "index.json");
  return index;
}

/// The image that an entry of index.json leads to.
Result<SourceImage> read_entry(const std::shared_ptr<Files>& files, const oci::Descriptor& entry) {
  SourceImage image;
  NX_TRY(image.manifest, read_manifest(*files, entry));
  std::string name = "manifest " + image.manifest->descriptor.digest.str();
  NX_TRY(json::Value manifest_value, parse_blob(*image.manifest));
  NX_TRY(oci::Manifest manifest, oci::parse_manifest(manifest_value), name);
  NX_TRY(image.config, read_blob(*files, manifest.config), name + ": config");
  NX_TRY(json::Value config_value, parse_blob(*image.config));
  NX_TRY(oci::ImageConfig config, oci::parse_image_config(config_value),
         name + ": config " + manifest.config.digest.str());
  NX_TRY(auto layers, match_layers(manifest, config), name);
  for (const LayerBlob& layer : layers) {
    image.layers.push_back(to_source_layer(layer, files.get()));
    if (!files->has(layer.blob.digest.blob_path()))
      return fail(Errc::InvalidImage, name + ": layer " + layer.blob.digest.str() + " is missing");
  }
  image.names = full_names(entry);
  image.tag = entry_name(entry);
  image.files = files;
  return image;
}

}  // namespace

Result<SourceImage> read_oci_source(const std::shared_ptr<Files>& files, const std::string& tag) {
  NX_TRY(oci::Index index, read_entries(*files));
  NX_TRY(oci::Index entries, select_entries(index, tag));
  NX_TRY(oci::Descriptor entry, choose_entry(entries));
  return read_entry(files, entry);
}

Result<std::vector<SourceImage>> read_all_oci(const std::shared_ptr<Files>& files) {
  NX_TRY(const oci::Index index, read_entries(*files));
  // Entries of one name are one image for several platforms; without a name each is its own.
  std::vector<oci::Index> groups;
  std::map<std::string, std::size_t> group_of;
  for (const oci::Descriptor& entry : index.manifests) {
    const std::string name = entry_name(entry);
    const auto [known, added] = group_of.try_emplace(name, groups.size());
    if (added || name.empty()) {
      groups.emplace_back();
      groups.back().manifests = {entry};
    } else {
      groups[known->second].manifests.push_back(entry);
    }
  }
  std::vector<SourceImage> images;
  for (const oci::Index& group : groups) {
    NX_TRY(const oci::Descriptor entry, choose_entry(group));
    NX_TRY(SourceImage image, read_entry(files, entry));
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace nexcage::image::content
